/**
 * What the screens and the commands share while one user is signed in. Types only.
 */
import type { ChatClient } from "../client/types.ts";
import type { ConnectionLines } from "./connection-lines.ts";
import type { ConversationList } from "./conversation-list.ts";
import type { Drafts } from "./drafts.ts";
import type { Found, Questions } from "./questions.ts";
import type { Presence } from "./presence.ts";
import type { ReadMarks } from "./read-marks.ts";
import type { InFlight } from "./requests.ts";
import type { Sending } from "./sending.ts";
import type { Question, Surface } from "./surface.ts";
import type { UnfinishedLines } from "./unfinished-lines.ts";

export interface ChatContext {
  readonly surface: Surface;
  readonly client: ChatClient;
  readonly connection: ConnectionLines;
  readonly list: ConversationList;
  readonly drafts: Drafts;
  readonly presence: Presence;
  readonly questions: Questions;
  /** Questions and changes that are under way. */
  readonly requests: InFlight;
  readonly sending: Sending;
  /** Null when nobody reads. */
  readonly marks: ReadMarks | null;
  readonly unfinished: UnfinishedLines;
  /** The user signed in, "" when nobody is. */
  readonly user: string;
  /** Whom lines go to; null on the home screen. */
  readonly partner: string | null;
  /** Whether a message rings. */
  bell: boolean;
  /** How a command is asked for below a page. */
  readonly command: Question;
  /** Opens the conversation with somebody who may not exist, or goes home. `looking`: they are being looked up already. */
  talkTo(name: string | null, looking?: Promise<Found>): void;
  /** Runs a line that begins with a slash. */
  runLine(line: string): Promise<void>;
  logOut(): Promise<void>;
  deleteAccount(): Promise<void>;
}
