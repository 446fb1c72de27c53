/**
 * The scripts of `chatd completion`, a file each beside this one: how a shell hands over the line that is being typed, runs
 * `chatd complete` and takes what that prints. They hold no command, flag or value of chatd.
 */
import bash from "./completion.bash" with { type: "text" };
import fish from "./completion.fish" with { type: "text" };
import zsh from "./completion.zsh" with { type: "text" };

const scripts = { bash, zsh, fish };

export type Shell = keyof typeof scripts;
export const shells = Object.keys(scripts) as readonly Shell[];

/** `executable`: run where the program's name on the line is none that the shell finds, such as an alias. */
export function completionScript(shell: Shell, executable: string): string {
  const quoted = shell === "fish" ? executable.replace(/[\\']/g, "\\$&") : executable.replaceAll("'", "'\\''");
  return scripts[shell].replace("EXECUTABLE", () => `'${quoted}'`);
}
