/** All tables of the state behind their owners, opened together and read anew together. */
import { Accounts } from "./accounts.ts";
import { Drafts } from "./drafts.ts";
import { Erasure } from "./erasure.ts";
import { MessageQueries } from "./message-queries.ts";
import { Messages } from "./messages.ts";
import { Notices } from "./notices.ts";
import { Reader } from "./reader.ts";
import { Sessions } from "./sessions.ts";
import type { Statements } from "./statements.ts";
import { Summaries } from "./summaries.ts";
import { WordIndex } from "./word-index.ts";

export class Stores {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly messages: Messages;
  readonly queries: MessageQueries;
  readonly reader: Reader;
  readonly drafts: Drafts;
  readonly notices: Notices;
  readonly erasure: Erasure;

  /** The tables must exist. */
  constructor(statements: Statements, accountsHeldMax: number) {
    this.accounts = new Accounts(statements, accountsHeldMax);
    this.sessions = new Sessions(statements, this.accounts);
    this.messages = new Messages(statements, new Summaries(statements), new WordIndex(statements));
    this.queries = new MessageQueries(statements, () => this.messages.settled);
    this.reader = new Reader(statements);
    this.drafts = new Drafts(statements, this.sessions);
    this.notices = new Notices(statements);
    this.erasure = new Erasure(statements, this.messages);
  }

  /** Forgets what is in memory and reads the tables. */
  load(settled: number): void {
    this.accounts.load();
    this.sessions.load();
    this.messages.load(settled);
    this.erasure.load();
  }
}
