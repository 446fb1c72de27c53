/**
 * Why a log on disk may not be used by this process although the disk works. Torn and damaged logs are not errors: they
 * are findings of `recover.ts`.
 */

/** The log is of another cluster, another replica or a newer format: nothing was changed. `serve` exits with 73. */
export class LogRefusedError extends Error {
  override readonly name = "LogRefusedError";
}
