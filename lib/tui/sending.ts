/**
 * Sending texts: what is on its way, what became of it, and texts that are too long for one message. A message is called
 * failed only when it was refused.
 */
import { limits } from "../base/limits.ts";
import type { OutgoingMessage } from "../client/outbox.ts";
import type { ChatClient } from "../client/types.ts";
import type { ConnectionLines } from "./connection-lines.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import type { Outlet } from "./outlet.ts";
import { InFlight } from "./requests.ts";
import { byteLength, clockTime, onDisks, refusedFate } from "./sentences.ts";
import type { Fate, Surface } from "./surface.ts";

export class Sending {
  readonly messages = new InFlight();
  /** Told of every message that was acknowledged. */
  acknowledged: (message: ChatMessage) => void = () => {};
  readonly #surface: Surface;
  readonly #client: ChatClient;
  readonly #connection: ConnectionLines;
  readonly #outlet: Outlet;
  /** Ends the waiting for the fate of a message, when it is not known yet. */
  readonly #unsettled = new Set<(fate: Fate) => void>();

  constructor(surface: Surface, client: ChatClient, connection: ConnectionLines, outlet: Outlet) {
    this.#surface = surface;
    this.#outlet = outlet;
    this.#client = client;
    this.#connection = connection;
  }

  /** No more is to come: what is still under way has an unknown outcome. */
  giveUp(): void {
    const kept = "not acknowledged yet: it is kept, and goes out with the next run";
    this.#leaveOpen(this.#unsettled, this.#outlet.keeps ? kept : "not acknowledged: it may arrive or not");
  }

  /** Nobody is signed in any more. What is kept and has not been asked for waits for its writer, and is not shown to the next. */
  signedOut(): void {
    const { keeps } = this.#outlet;
    const open = [...this.#unsettled];
    const closed = this.#outlet.signedOut();
    // Of what was asked for the fate is known then, and about to be said.
    const leave = (): void => this.#leaveOpen(open, "not acknowledged yet: it is kept until you sign in again");
    if (keeps) void closed.then(() => setImmediate(leave));
  }

  #leaveOpen(open: Iterable<(fate: Fate) => void>, text: string): void {
    const when = clockTime(Date.now(), Date.now());
    for (const settle of open) {
      if (this.#unsettled.delete(settle)) settle({ tone: "warning", text, when, failed: true });
    }
  }

  /**
   * Sends a text, in one message or, when it is too long and the user agrees, line by line. False when it was not sent,
   * which has been said: it is to be typed on.
   */
  async text(to: string, text: string): Promise<boolean> {
    if (byteLength(text) <= limits.textBytesMax) {
      await this.#send(to, text);
      return true;
    }
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    const longest = Math.max(...lines.map(byteLength));
    const size = `${byteLength(text)} bytes are too many for one message (${limits.textBytesMax}).`;
    if (longest > limits.textBytesMax) {
      this.#surface.say({ tone: "warning", text: size, failed: true });
      return false;
    }
    const yes = `Yes, ${lines.length} messages`;
    if (!(await this.#surface.confirm(`${size} Send it line by line?`, "No, go on editing", yes))) return false;
    for (const line of lines) await this.#send(to, line);
    return true;
  }

  async #send(to: string, text: string): Promise<void> {
    // A pipe can be faster than the network: only so much is taken in before it is on its way.
    if (this.#surface.linear) await this.messages.fewerThan(limits.sessionWindow);
    this.follow(this.#outlet.send(to, text));
  }

  /** Shows a message from the moment it is kept until it is known what became of it. */
  follow(message: OutgoingMessage): void {
    const left = Promise.withResolvers<void>();
    void this.messages.track(Promise.race([this.#follow(message, left.resolve), left.promise]));
  }

  /** `left`: called when it is not waited for any more. */
  async #follow({ to, text, at, kept, answer }: OutgoingMessage, left: () => void): Promise<void> {
    const failure = await kept.then(
      () => null,
      (error: Error) => error.message,
    );
    if (failure !== null) {
      return this.#surface.say({ tone: "bad", text: `Not sent to ${to}: ${text}\n${failure}`, failed: true });
    }
    // Its line is off the disk by then: the next run of one that dies here would show it, and send it once more.
    void this.#outlet.lines?.flush();
    const from = this.#client.user ?? "";
    const when = clockTime(at, Date.now());
    const settle = this.#surface.outgoing({ from, to, own: true, text, when });
    const leave = (fate: Fate): void => {
      settle(fate);
      left();
    };
    this.#unsettled.add(leave);
    const became = await answer;
    if (!this.#unsettled.delete(leave)) return;
    if (became.type === "refused") return settle({ ...refusedFate(became), when });
    const { id, index } = became;
    this.acknowledged({ id, index, from, to, text, at: became.at, read: true, inbox: false });
    settle({ ...onDisks(became.copies, this.#connection.replicas), when: clockTime(became.at, Date.now()) });
  }
}
