/** `chatd chat` as people and scripts run it: plain lines through a pipe, and one-shot commands, with a state home each. */
import { executable } from "../tasks/build.ts";
import type { Keeper } from "./kept.ts";
import { eachLine } from "./lines.ts";

export interface ChatCommandOptions {
  readonly servers: readonly string[];
  readonly stateHome: string;
  readonly password: string;
  readonly keeper: Keeper;
}

/** A process of it, every line of its output, and whoever waits for one. */
export class ChatCommand {
  readonly lines: string[] = [];
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #watchers = new Set<() => void>();
  readonly #output: Promise<unknown>;
  stderr = "";

  constructor(words: readonly string[], { servers, stateHome, password, keeper }: ChatCommandOptions) {
    this.#process = Bun.spawn({
      cmd: [executable, "chat", "--server", servers.join(","), ...words],
      env: { ...process.env, XDG_STATE_HOME: stateHome, CHATD_PASSWORD: password, LANG: "C.UTF-8" },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    keeper.adopt(this.#process);
    const look = (): void => {
      for (const watcher of this.#watchers) watcher();
    };
    this.#output = Promise.all([
      eachLine(this.#process.stdout, (line) => {
        this.lines.push(line);
        look();
      }),
      eachLine(this.#process.stderr, (line) => void (this.stderr += `${line}\n`)),
      this.#process.exited,
    ]).finally(look);
  }

  type(text: string): void {
    void this.#process.stdin.write(text);
    void this.#process.stdin.flush();
  }

  /** What the found line matches; null when the process ended before. */
  async see(pattern: RegExp): Promise<RegExpExecArray | null> {
    let isOver = false;
    void this.#output.then(() => {
      isOver = true;
    });
    for (let at = 0; ;) {
      for (; at < this.lines.length; at++) {
        const match = pattern.exec(this.lines[at] ?? "");
        if (match !== null) return match;
      }
      if (isOver) return null;
      await new Promise<void>((resolve) => {
        this.#watchers.add(resolve);
        void this.#output.then(() => resolve());
      });
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Ends its input; resolves with the exit status, once all it said was read. */
  async end(): Promise<number> {
    await this.#process.stdin.end();
    return this.ended();
  }

  async ended(): Promise<number> {
    await this.#output;
    return this.#process.exited;
  }
}
