/**
 * Password hashes: argon2id on the runtime's threads unless another hasher is handed in, a bounded number at once. Used
 * while ops are accepted, never while they are applied. Keeps no password.
 */
import type { Fault } from "./names.ts";

/** What makes and compares hashes: slow, and away from the event loop. A simulation hands in its own. */
export interface PasswordHasher {
  /** With a salt of its own. */
  hash(password: string): Promise<string>;
  verify(password: string, hash: string): Promise<boolean>;
}

/** OWASP's minimum for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes. Sign-ins stay quick. */
const parameters = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

/** Each takes a thread and 19 MiB. */
const runningMax = 2;
/** More are turned away: they would wait for longer than anyone does. */
const waitingMax = 1024;

/** A hash of nothing known, with the same parameters: an unknown user takes as long as a wrong password. */
export const decoyHash =
  "$argon2id$v=19$m=19456,t=2,p=1$Rtqs7zfvllQMtHxJDEe9GnS8L+HIoKXBrYxGpQduz24$8gy3MrsBzIUa9BLk3zbYbiLAKrh00etYKYN0jO18BE8";

/** Looks the functions up when they are called, so that a test can watch them. */
const argon2: PasswordHasher = {
  hash: (password) => Bun.password.hash(password, parameters),
  verify: (password, hash) => Bun.password.verify(password, hash),
};

export class Passwords {
  readonly #hasher: PasswordHasher;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(hasher: PasswordHasher = argon2) {
    this.#hasher = hasher;
  }

  /** A hash for `password`, with a salt of its own. */
  async hash(password: string): Promise<string | Fault> {
    return this.#run(() => this.#hasher.hash(canonical(password)));
  }

  /** The position in `hashes` of the first that `password` fits; -1 for none. No hashes take the time of one. */
  async match(password: string, hashes: readonly string[]): Promise<number | Fault> {
    return this.#run(async () => {
      if (hashes.length === 0) await this.#hasher.verify(canonical(password), decoyHash);
      for (const [position, hash] of hashes.entries()) {
        if (await this.#hasher.verify(canonical(password), hash)) return position;
      }
      return -1;
    });
  }

  async #run<T>(work: () => Promise<T>): Promise<T | Fault> {
    if (this.#running >= runningMax) {
      if (this.#waiting.length >= waitingMax) {
        return { code: "rate-limited", message: "Too many sign-ins at once: try again in a few seconds." };
      }
      // Whoever ends hands its place over, so that #running stays as it is.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

/** RFC 8265 §4.2: the same password typed on another keyboard is the same password. Never empty, which has no hash. */
const canonical = (password: string): string => password.normalize("NFC") || "\0";
