/** What a keeper is told and what it tells: one JSON object a line on its stdin and stdout. Types only. */

export type KeeperOrder =
  /** Runs a command in a session of its own; its stdout comes back line by line, its stderr is added to a file. */
  | { readonly do: "start"; readonly name: string; readonly command: readonly string[]; readonly stderrFile: string }
  | { readonly do: "signal"; readonly name: string; readonly signal: NodeJS.Signals }
  /** A process started elsewhere that must not outlive the owner either, and the end of that. */
  | { readonly do: "adopt"; readonly process: number }
  | { readonly do: "release"; readonly process: number };

export type KeeperReport =
  | { readonly event: "started"; readonly name: string; readonly process: number }
  | { readonly event: "line"; readonly name: string; readonly line: string }
  | {
      readonly event: "exited";
      readonly name: string;
      readonly exitCode: number | null;
      readonly signal: string | null;
    }
  | { readonly event: "failed"; readonly name: string; readonly message: string };
