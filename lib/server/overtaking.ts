/**
 * Which ops of a connection were refused as unavailable and may be asked for again: what follows one of them in its
 * session, and was on its way already, must not come before it in the log. Knows seqs, and nothing of connections.
 */
export class Overtaking {
  readonly #refused = new Set<number>();

  /** The op of this seq was not proposed, and is told so. */
  refused(seq: number): void {
    this.#refused.add(seq);
  }

  /** It is asked for, perhaps again. */
  asked(seq: number): void {
    this.#refused.delete(seq);
  }

  /**
   * Whether an op would come before one that the client may ask for again. `oldest`: the first seq that the client had no
   * answer to when it sent the op; what is below is settled for it.
   */
  overtakes({ seq, oldest }: { readonly seq: number; readonly oldest: number }): boolean {
    for (const refused of this.#refused) if (refused < oldest) this.#refused.delete(refused);
    return [...this.#refused].some((refused) => refused < seq);
  }
}
