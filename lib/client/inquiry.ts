/**
 * One connection for a few questions: who is there, and requests that need no session, one at a time. For commands that ask
 * and go; `client.ts` is for those that stay.
 */
import type { Frame } from "../protocol/messages.ts";
import { Link, type LinkOwner, type LinkSettings, type Place } from "./link.ts";
import type { ClientPorts } from "./types.ts";

/** Nobody answers, or the connection was lost; the message is a phrase that begins with the address. */
export class UnansweredError extends Error {
  override readonly name = "UnansweredError";
}

export class Inquiry implements LinkOwner {
  readonly #link: Link;
  readonly #welcomed = Promise.withResolvers<void>();
  #answer: PromiseWithResolvers<Frame> | null = null;
  #lost: UnansweredError | null = null;

  private constructor(address: string, settings: LinkSettings, ports: ClientPorts) {
    this.#link = new Link(address, this, settings, ports);
    this.#link.start();
  }

  /** Connects and waits for the welcome. Throws {@link UnansweredError}. */
  static async open(address: string, settings: LinkSettings, ports: ClientPorts): Promise<Inquiry> {
    const inquiry = new Inquiry(address, settings, ports);
    await inquiry.#welcomed.promise;
    return inquiry;
  }

  /** Where the replica stands, as it last said. */
  get place(): Place | null {
    return this.#link.place;
  }

  /** 16 bytes. */
  get cluster(): Uint8Array {
    return this.#link.cluster;
  }

  /** Sends a request and waits for the next frame that is an answer. Throws {@link UnansweredError}. */
  ask(frame: Frame): Promise<Frame> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    this.#answer = Promise.withResolvers();
    this.#link.send(frame);
    return this.#answer.promise;
  }

  close(): void {
    this.#link.drop();
  }

  // What the link tells.

  welcomed(): void {
    this.#welcomed.resolve();
  }

  placed(): void {
    // `place` is looked at when it is needed.
  }

  frame(_link: Link, frame: Frame): void {
    this.#answer?.resolve(frame);
    this.#answer = null;
  }

  quiet(): void {
    // The time limit of the inquiry decides.
  }

  lost(link: Link, reason: string): void {
    this.#lost = new UnansweredError(reason.includes(link.address) ? reason : `${link.address} ${reason}`);
    this.#welcomed.reject(this.#lost);
    this.#answer?.reject(this.#lost);
    this.#answer = null;
  }
}
