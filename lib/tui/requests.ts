/** Requests as the screens make them, and how many of them are under way. */
import type { Answers, ChatClient, OpRequest, QueryRequest, Refused } from "../client/types.ts";
import type { Surface } from "./surface.ts";

/**
 * The answer. Never resolves when the client is closed first: then the whole run ends (`connection-lines.ts` says
 * why), and messages under way are reported as of unknown outcome (`chat.ts`).
 */
export function answered<T extends keyof Answers>(
  client: ChatClient,
  request: (OpRequest | QueryRequest) & { type: T },
): Promise<Answers[T] | Refused> {
  return unlessClosed(client.request<T>(request));
}

/** The same of several requests together. */
export async function unlessClosed<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch {
    return new Promise(() => {});
  }
}

/**
 * Waits for a change. It says itself what came of it: when the user leaves the wait, which changes nothing about the
 * change, that comes later.
 */
export async function untilDone<T>(surface: Surface, label: string, change: Promise<T>): Promise<T | "left"> {
  const done = await surface.busy(label, change);
  if (done === "left") {
    const text = `${label} cannot be called back: it is done as soon as a replica answers.`;
    surface.say({ tone: "warning", text });
  }
  return done;
}

/** Counts work under way, and waits until there is little enough of it. */
export class InFlight {
  #size = 0;
  #waiting: { readonly below: number; readonly resolve: () => void }[] = [];

  get size(): number {
    return this.#size;
  }

  async track<T>(work: Promise<T>): Promise<T> {
    this.#size += 1;
    try {
      return await work;
    } finally {
      this.#size -= 1;
      const ready = this.#waiting.filter(({ below }) => this.#size < below);
      this.#waiting = this.#waiting.filter(({ below }) => this.#size >= below);
      for (const { resolve } of ready) resolve();
    }
  }

  /** Resolves once fewer than `below` are under way. */
  fewerThan(below: number): Promise<void> {
    if (this.#size < below) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ below, resolve });
    });
  }
}
