/** Counts the seconds in which the user does nothing: a warning first, then the end. Does neither itself. */

export interface IdleHandlers {
  /** `seconds` are left. */
  warn(seconds: number): void;
  expire(): void;
}

/** The warning comes this long before the end, or at half time when the whole is shorter than twice this. */
const warningSeconds = 30;

export class IdleTimer {
  readonly #seconds: number;
  readonly #handlers: IdleHandlers;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `seconds` of 0 never end. */
  constructor(seconds: number, handlers: IdleHandlers) {
    this.#seconds = seconds;
    this.#handlers = handlers;
  }

  /** Begins anew. */
  touch(): void {
    this.stop();
    if (this.#seconds <= 0) return;
    const left = Math.min(warningSeconds, this.#seconds / 2);
    this.#timer = setTimeout(
      () => {
        this.#timer = setTimeout(() => this.#handlers.expire(), left * 1000);
        this.#handlers.warn(left);
      },
      (this.#seconds - left) * 1000,
    );
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
