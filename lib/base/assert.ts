/** Broken invariants stop the process, in production too. Refusals and I/O failures are never assertions. */

/** An invariant of the program does not hold: continuing could lose or double data. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws {@link AssertionError} unless `condition` holds. `message` states the invariant, not the failure. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(`invariant broken: ${message}`);
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new AssertionError(`invariant broken: unexpected value ${JSON.stringify(value)}`);
}
