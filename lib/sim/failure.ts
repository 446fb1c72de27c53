/** What a checker throws: a promise of the system was broken in this run. */
export class SimulationFailure extends Error {
  override readonly name = "SimulationFailure";

  /** `rule` is one word or two for tables; `message` says what was seen. */
  constructor(
    readonly rule: string,
    message: string,
  ) {
    super(`${rule}: ${message}`);
  }
}
