/** The wishes to leave, in order; a wish that repeats one means: at once. Shared by the surfaces. */
import type { Leaving } from "./surface.ts";

export class Leavings {
  readonly #waiting: Leaving[] = [];
  #take: ((leaving: Leaving) => void) | null = null;
  #count = 0;

  get any(): boolean {
    return this.#count > 0;
  }

  push(leaving: Leaving): void {
    this.#count += 1;
    const wish: Leaving = this.#count > 1 && leaving.how === "user" ? { ...leaving, how: "insisted" } : leaving;
    if (this.#take === null) this.#waiting.push(wish);
    else this.#take(wish);
    this.#take = null;
  }

  /** The next wish; one call at a time. */
  next(): Promise<Leaving> {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return Promise.resolve(waiting);
    return new Promise((resolve) => {
      this.#take = resolve;
    });
  }
}
