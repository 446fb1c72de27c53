/**
 * Drives one `chatd chat --json` process: commands in, replies by their tags, everything else as events. For the demo
 * and the end-to-end tests; types are those of the documented lines, so that a change of them does not pass unseen.
 */
import { executable } from "../tasks/build.ts";
import type { Keeper } from "./kept.ts";
import { eachLine } from "./lines.ts";

export interface JsonMessage {
  readonly id: string;
  readonly index: number;
  readonly from: string;
  readonly to: string;
  readonly text: string;
  readonly at: number;
  readonly read: boolean;
  readonly inbox: boolean;
}

export interface JsonDraft {
  readonly draft: string;
  readonly to: string;
  readonly text: string;
  readonly at: number;
}

export interface JsonSession {
  readonly session: string;
  readonly since: number;
  readonly lastUsed: number;
  readonly replica: number;
  readonly attached: boolean;
  readonly current: boolean;
  readonly software: string;
}

/** What a reply to each command holds beside `event`, `tag` and `ok`. */
interface Replies {
  create: { user: string };
  login: { user: string; inbox: number; drafts: number };
  logout: object;
  "delete-account": object;
  "change-password": { count: number };
  sessions: { sessions: JsonSession[] };
  "end-sessions": { count: number };
  accounts: { accounts: { user: string; online: boolean; lastSeen: number | null }[]; more: boolean };
  send: { id: string; index: number; at: number; copies: number; duplicate?: boolean };
  inbox: { count: number };
  open: { messages: JsonMessage[] };
  messages: { messages: JsonMessage[]; more: boolean };
  mark: { count: number };
  delete: { count: number };
  drafts: { drafts: JsonDraft[] };
  draft: { draft: string };
  "send-drafts": { sent: { draft: string; id: string }[]; refused?: { draft: string; error: string }[] };
  "delete-drafts": { count: number };
  status: {
    replica: number;
    primary: number;
    view: string;
    policy: string;
    provisional: boolean;
    copies: number;
    /** No figures of one that is unreachable. */
    replicas: {
      pid: number;
      address: string;
      role: string;
      index: number | null;
      commit: number | null;
      lag: number | null;
    }[];
  };
}

export type Refusal = { readonly ok: false; readonly error: string; readonly message: string };
export type Answer<D extends keyof Replies> = ({ readonly ok: true } & Replies[D]) | Refusal;

export type JsonEvent =
  | { readonly event: "connection"; readonly state: string; readonly replica?: number; readonly primary?: number }
  | ({ readonly event: "message" } & JsonMessage)
  | { readonly event: "notice"; readonly text: string }
  | { readonly event: "changed"; readonly what: string; readonly ids: readonly string[] }
  | { readonly event: "presence"; readonly user: string; readonly online: boolean; readonly lastSeen: number | null }
  | { readonly event: "logged-out"; readonly reason: string };

interface Waiting {
  readonly command: string;
  readonly resolve: (reply: never) => void;
  readonly reject: (error: Error) => void;
}

export class JsonClient {
  /** Every event that is no reply, in order. */
  readonly events: JsonEvent[] = [];
  /** Replies that nobody waits for: to a tag that was answered already, or to none. There should be none. */
  readonly strays: string[] = [];
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #waiting = new Map<string, Waiting>();
  readonly #watchers = new Set<() => void>();
  readonly #output: Promise<unknown>;
  #stderr = "";
  #over = false;
  #tags = 0;

  /** `keeper` makes sure that the process does not outlive this one. `prefix` goes before the command. */
  constructor(servers: readonly string[], options: { keeper?: Keeper; prefix?: readonly string[] } = {}) {
    const { keeper, prefix = [] } = options;
    this.#process = Bun.spawn({
      cmd: [...prefix, executable, "chat", "--json", "--server", servers.join(",")],
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    keeper?.adopt(this.#process);
    this.#output = Promise.all([
      eachLine(this.#process.stdout, (line) => this.#take(line)),
      eachLine(this.#process.stderr, (line) => (this.#stderr += `${line}\n`)),
    ]);
    // Not before everything it still said was read.
    void Promise.all([this.#process.exited, this.#output]).then(([code]) => {
      this.#over = true;
      this.#ended(code);
    });
  }

  /** What it wrote to stderr. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Messages that arrived while logged in, in order of arrival. */
  get received(): JsonMessage[] {
    return this.events.filter((event) => event.event === "message");
  }

  /** What the user was told. */
  get notices(): string[] {
    return this.events.filter((event) => event.event === "notice").map(({ text }) => text);
  }

  /** The replica that it was last connected to. */
  get replica(): number | null {
    return this.events.reduce<number | null>(
      (replica, event) => (event.event === "connection" && event.replica !== undefined ? event.replica : replica),
      null,
    );
  }

  /** Sends one command and waits for its reply, a refusal included. */
  do<D extends keyof Replies>(command: { do: D } & Record<string, unknown>): Promise<Answer<D>> {
    const tag = String(++this.#tags);
    const reply = Promise.withResolvers<Answer<D>>();
    reply.promise.catch(() => {});
    this.#waiting.set(tag, { command: command.do, resolve: reply.resolve, reject: reply.reject });
    if (this.#over) this.#ended(this.#process.exitCode);
    else {
      void this.#process.stdin.write(`${JSON.stringify({ ...command, tag })}\n`);
      void this.#process.stdin.flush();
    }
    return reply.promise;
  }

  /** The same for what must not be refused. */
  async must<D extends keyof Replies>(
    command: { do: D } & Record<string, unknown>,
  ): Promise<{ ok: true } & Replies[D]> {
    const reply = await this.do(command);
    if (!reply.ok) throw new Error(`${command.do} was refused: ${reply.error}: ${reply.message}`);
    return reply;
  }

  /** Creates the account unless it exists, and logs in. */
  async signIn(user: string, password: string): Promise<void> {
    const created = await this.do({ do: "create", user, password });
    if (!created.ok && created.error !== "name-taken") throw new Error(`create was refused: ${created.message}`);
    await this.must({ do: "login", user, password });
  }

  /** Resolves when `holds` does; looked at after every event. */
  async until(what: string, holds: () => boolean, timeoutMs = 20_000): Promise<void> {
    if (holds()) return;
    const done = Promise.withResolvers<void>();
    const look = (): void => {
      if (holds()) done.resolve();
    };
    this.#watchers.add(look);
    const timer = setTimeout(() => {
      const last = this.events.slice(-3).map((event) => JSON.stringify(event));
      done.reject(new Error(`not within ${timeoutMs} ms: ${what}; last events: ${last.join(" ")} ${this.#stderr}`));
    }, timeoutMs);
    try {
      await done.promise;
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(look);
    }
  }

  /** Ends its input; resolves with the exit code once everything outstanding is answered. */
  async end(): Promise<number> {
    await this.#process.stdin.end();
    const code = await this.#process.exited;
    await this.#output;
    return code;
  }

  /** Resolves with the exit code when it has ended, by whatever cause; 128 and more: by a signal. */
  get ended(): Promise<number> {
    return this.#process.exited;
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Sends any other signal, such as SIGSTOP. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  #ended(code: number | null): void {
    for (const { command, reject } of this.#waiting.values()) {
      reject(new Error(`chat --json ended with exit ${code} before it answered ${command}: ${this.#stderr}`));
    }
    this.#waiting.clear();
  }

  #take(line: string): void {
    const event: JsonEvent | { event: "reply"; tag: string | null } = JSON.parse(line);
    if (event.event === "reply") {
      const waiting = this.#waiting.get(event.tag ?? "");
      this.#waiting.delete(event.tag ?? "");
      if (waiting === undefined) this.strays.push(line);
      waiting?.resolve(event as never);
      return;
    }
    this.events.push(event);
    for (const look of this.#watchers) look();
  }
}
