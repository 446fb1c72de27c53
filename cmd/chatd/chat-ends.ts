/** How a chat that nobody watches ends from outside: signals, and readers that have read enough. */

/** How long a signal leaves for the goodbye and for output that nobody reads. */
export const signalGraceMs = 1000;
export const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Whoever read has read enough: that is no failure. */
export const isReaderGone = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "EPIPE";

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
