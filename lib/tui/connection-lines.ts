/**
 * Says what becomes of the connection: to which replica, what was lost, on how many disks messages are kept. Keeps the
 * number of replicas, by which a low number of copies is told from a small cluster. Decides nothing.
 */
import type { ChatClient, ConnectionState } from "../client/types.ts";
import { answered } from "./requests.ts";
import { connectedLine, copiesLine, duration, movedLine, provisionalLine, type Connected } from "./sentences.ts";
import type { Surface } from "./surface.ts";

type Shown = Pick<Surface, "say" | "standing" | "symbols" | "unattended">;

export interface GivingUp {
  /** After this time without a server a run that nobody watches ends, unless more input may still come. */
  readonly giveUpMs: number;
  readonly complain: (line: string) => void;
}

/** A move to another replica that takes less than this is said in one line, when it is done. */
const patienceMs = 300;

export class ConnectionLines {
  /** How many replicas there are; 0 while not known. */
  replicas = 0;
  /** Resolves with the exit code when the client, or the wait for a server, gives up for good. */
  readonly ended: Promise<number>;
  readonly #client: ChatClient;
  readonly #surface: Shown;
  readonly #stopListening: () => void;
  #end: (code: number) => void = () => {};
  #last: Connected | null = null;
  /** The replica whose loss has not been said yet. */
  #lost: number | null = null;
  #away = true;
  #offlineSaid = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #givingUp: GivingUp;
  #giveUpTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(client: ChatClient, surface: Shown, givingUp: GivingUp) {
    this.#client = client;
    this.#surface = surface;
    this.#givingUp = givingUp;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#stopListening = client.on((event) => {
      if (event.type === "connection") this.#changed(event.connection);
    });
    this.#changed(client.connection);
  }

  /** There has been a connection. */
  get everStood(): boolean {
    return this.#last !== null;
  }

  stop(): void {
    this.#stopListening();
    this.#clearTimer();
    this.#clearGiveUp();
    this.#surface.standing(null);
  }

  #changed(now: ConnectionState): void {
    switch (now.state) {
      case "connecting":
        this.#gone();
        if (this.#timer === null) this.#timer = setTimeout(() => this.#patienceOver(), patienceMs);
        return;
      case "offline":
        this.#gone();
        this.#patienceOver();
        if (!this.#offlineSaid)
          this.#surface.say({ tone: "warning", text: `no replica can be reached, trying on\n${now.reason}` });
        this.#offlineSaid = true;
        return;
      case "connected":
      case "reconnected":
        this.#clearTimer();
        this.#clearGiveUp();
        this.#surface.standing(null);
        void this.#connected(now);
        return;
      case "closed":
        this.#clearTimer();
        this.#surface.say({ tone: "bad", text: `connection closed: ${now.reason}` });
        this.#end(69);
        return;
    }
  }

  #gone(): void {
    if (this.#giveUpTimer === null && this.#surface.unattended !== null) this.#waitForServer();
    if (!this.#away) this.#lost = this.#last?.replica ?? null;
    this.#away = true;
  }

  #waitForServer(): void {
    const { giveUpMs, complain } = this.#givingUp;
    this.#giveUpTimer = setTimeout(() => {
      if (this.everStood && this.#surface.unattended?.exhausted !== true) return this.#waitForServer();
      const { connection } = this.#client;
      const why = "reason" in connection ? `: ${connection.reason}` : "";
      complain(`no server could be reached for ${duration(giveUpMs)}${why}`);
      this.#end(this.everStood ? 1 : 69);
    }, giveUpMs);
  }

  async #connected(now: Connected): Promise<void> {
    const before = this.#last;
    const moved = this.#away && before !== null;
    this.#last = now;
    this.#away = false;
    this.#offlineSaid = false;
    if (moved) this.#surface.say(movedLine(this.#lost, now, this.#surface.symbols));
    this.#lost = null;
    const replicasBefore = this.replicas;
    const status = await answered(this.#client, { type: "status" });
    if (status.type !== "refused") this.replicas = status.replicas.length;
    if (before === null) {
      this.#surface.say(connectedLine(now, this.replicas, this.#surface.symbols));
      if (now.provisional) this.#surface.say(provisionalLine());
      return;
    }
    const copies = copiesLine(before, now, replicasBefore, this.replicas);
    if (copies !== null) this.#surface.say(copies);
    if (now.provisional && !before.provisional) this.#surface.say(provisionalLine());
  }

  #patienceOver(): void {
    this.#clearTimer();
    const { symbols } = this.#surface;
    if (this.#lost !== null) {
      this.#surface.say({ tone: "warning", text: `replica ${this.#lost} lost ${symbols.dot} looking for another` });
      this.#lost = null;
    }
    const what = this.#last === null ? "looking for a replica" : "lines wait to be sent";
    this.#surface.standing({ tone: "warning", text: `${symbols.away} not connected: ${what}` });
  }

  #clearGiveUp(): void {
    if (this.#giveUpTimer !== null) clearTimeout(this.#giveUpTimer);
    this.#giveUpTimer = null;
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
