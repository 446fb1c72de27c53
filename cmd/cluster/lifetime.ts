/**
 * When a script that owns processes has to end: on a signal, when those who started it are gone, when nobody reads what
 * it prints. Runs the clean-up once, however many of these come, and ends the process.
 */
import { watchAncestors } from "./ancestors.ts";

/** By convention a program that ends on a signal exits with 128 and the signal's number. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** A signal that comes later than this after the first is a second wish: to end now. One to the group comes twice. */
const insistMs = 1000;

/**
 * Calls `cleanUp` at the first reason to end, then exits: with its exit code, or else the signal's own. Insisting ends
 * the process at once, and the keeper does the rest. Signals that `ignore` holds for are not meant for this process.
 * Returns a function that ends the watch.
 */
export function endWhenTold(
  cleanUp: (reason: string) => Promise<number | void>,
  options: { ignore?: (signal: string) => boolean } = {},
): () => void {
  let endingSince: number | null = null;
  const end = (reason: string, exitCode: number): void => {
    if (options.ignore?.(reason)) return;
    if (endingSince !== null) {
      if (performance.now() - endingSince > insistMs) process.exit(exitCode);
      return;
    }
    endingSince = performance.now();
    cleanUp(reason).then(
      (code) => process.exit(code ?? exitCode),
      () => process.exit(1),
    );
  };
  const handlers = Object.entries(signals).map(([signal, code]) => [signal, () => end(signal, code)] as const);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  const unwatch = watchAncestors((name) => end(`${name} has gone`, signals.SIGHUP));
  const unread = (): void => end("nobody reads the output", 1);
  process.stdout.on("error", unread);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
    process.stdout.off("error", unread);
    unwatch();
  };
}
