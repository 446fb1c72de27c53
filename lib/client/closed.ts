/** How a request ends that has no answer. */

/** A request was open when the client was closed. */
export class ClientClosedError extends Error {
  override readonly name = "ClientClosedError";
  constructor(
    message: string,
    /** False when it has certainly changed nothing: a question, or an op that no replica was ever sent. */
    readonly mayBeDone: boolean,
  ) {
    super(message);
  }
}
