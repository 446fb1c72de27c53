/**
 * The entry of the interactive client. The folder from top to bottom:
 * `run.ts` a whole run → `chat.ts` one user's chat: `sign-in.ts`, `home.ts` and the other pages, `open-conversation.ts`,
 * `command-line.ts`, `sending.ts`, `questions.ts`, over `surface.ts` → `screen.ts` (a journal with a question below it, or
 * a page that fills the window; `asking.ts` takes the keys) or `plain.ts` (lines only) → `frame.ts`, `page-frame.ts`,
 * `list.ts`, `editor.ts`, `layout.ts`, `sanitise.ts`, `keys.ts`: pure → `printer.ts`, `terminal.ts`: the terminal itself.
 * May import `lib/client`, `lib/protocol`, `lib/base`; sees answers and events, never bytes of the wire.
 */
import type { ChatClient } from "../client/types.ts";
import { runPlain } from "./plain.ts";
import { runChat, type RunOptions } from "./run.ts";
import { Screen, type ScreenOptions } from "./screen.ts";

export { detectCapabilities } from "./theme.ts";

export interface ChatOptions extends RunOptions, Omit<ScreenOptions, "columns" | "rows"> {
  /** Lines only, nothing redrawn: for screen readers, dumb terminals and pipes. */
  readonly plain: boolean;
  /** Size of the terminal, asked again at each redraw; that of `output` unless given, else 80 × 24. */
  readonly columns?: () => number;
  readonly rows?: () => number;
}

/**
 * Runs the chat until the user leaves; resolves with the exit code (see `run.ts`), the terminal restored and the
 * client closed. The caller sets `process.exitCode` and lets the process end: `process.exit` could cut off output.
 */
export function runInteractive(client: ChatClient, options: ChatOptions): Promise<number> {
  if (options.plain) return runPlain(client, options);
  const { input, output, colour, unicode } = options;
  const columns = options.columns ?? (() => output.columns ?? 80);
  const rows = options.rows ?? (() => output.rows ?? 24);
  return runChat(client, new Screen({ input, output, colour, unicode, columns, rows }), options);
}
