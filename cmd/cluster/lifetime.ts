/**
 * When a script that owns processes has to end: on a signal, when those who started it are gone, when nobody reads what
 * it prints. Runs the clean-up once, however many of these come, and ends the process.
 */
import { watchAncestors } from "./ancestors.ts";

/** By convention a program that ends on a signal exits with 128 and the signal's number. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A signal that comes later than this after the first is a second wish: to end now. One to the group comes twice. */
const insistMs = 1000;

export interface Work {
  /** Resolves with the exit code. What becomes of it once the end has been told does not matter any more. */
  main(): Promise<number>;
  /** Runs once, after `main` or instead of the rest of it. May give the exit code of a script that was told to end. */
  cleanUp(reason: string): Promise<number | void>;
  /** Signals that are not meant for this process now. */
  ignores?(signal: string): boolean;
}

/**
 * Does the work, cleans up and ends the process; or, at the first reason to end, cleans up and ends with the signal's
 * own exit code. Insisting ends the process at once, and the keeper does the rest.
 */
export async function runToEnd(work: Work): Promise<never> {
  const told = Promise.withResolvers<{ reason: string; exitCode: number }>();
  let toldAtMs: number | null = null;
  const end = (reason: string, exitCode: number): void => {
    if (work.ignores?.(reason)) return;
    const nowMs = performance.now();
    if (toldAtMs !== null && nowMs - toldAtMs > insistMs) process.exit(exitCode);
    toldAtMs ??= nowMs;
    told.resolve({ reason, exitCode });
  };
  for (const [signal, exitCode] of Object.entries(signals)) process.on(signal, () => end(signal, exitCode));
  process.stdout.on("error", () => end("nobody reads the output", 1));
  watchAncestors((name) => end(`${name} has gone`, signals.SIGHUP));

  const done = work.main().then(
    (exitCode) => ({ reason: "done", exitCode }),
    (error: unknown) => {
      // After the end was told, things fail because they were ended.
      if (toldAtMs === null) console.error(error instanceof Error ? error.message : error);
      return { reason: "failed", exitCode: 1 };
    },
  );
  const { reason, exitCode } = await Promise.race([told.promise, done]);
  const cleaned = await work.cleanUp(reason).catch((error: unknown) => {
    console.error(error);
    return 1;
  });
  process.exit(toldAtMs === null || typeof cleaned !== "number" ? exitCode : cleaned);
}
