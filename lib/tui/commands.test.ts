/** The slash commands: parsing, suggestions, help, completion. */
import { expect, test } from "bun:test";
import { commands, completions, helpText, nearest, parseLine } from "./commands.ts";

test("lines are texts, commands, or something close to a command", () => {
  expect(parseLine("  ")).toEqual({ type: "empty" });
  expect(parseLine(" hello ")).toEqual({ type: "text", text: " hello " });
  expect(parseLine("//etc/hosts")).toEqual({ type: "text", text: "/etc/hosts" });
  expect(parseLine("/to  bob ")).toEqual({ type: "command", name: "to", rest: "bob" });
  expect(parseLine("/MSG bob hi\nthere ")).toEqual({ type: "command", name: "msg", rest: "bob hi\nthere " });
  expect(parseLine("/hitsory")).toEqual({ type: "unknown", name: "hitsory", nearest: "history" });
});

test("suggests what was meant, and nothing when nothing is near", () => {
  expect(nearest("inbxo")).toBe("inbox");
  expect(nearest("acc")).toBe("accounts");
  expect(nearest("delete-a")).toBe("delete-account");
  expect(nearest("exit")).toBe("quit");
  expect(nearest("xyzzy")).toBeNull();
  expect(nearest("")).toBeNull();
});

test("help names every command, and before signing in only those that work", () => {
  for (const { name } of commands) expect(helpText(true)).toContain(`/${name}`);
  expect(helpText(false)).toContain("/accounts");
  expect(helpText(false)).not.toContain("/msg");
});

test("help needs no more than ASCII: on a terminal without UTF-8 the rest would be escaped", () => {
  // eslint-disable-next-line no-control-regex
  expect(helpText(true)).toMatch(/^[\x00-\x7f]*$/);
});

test("completes commands, and names where one is due", () => {
  expect(completions("/hi", [])).toEqual(["/history "]);
  expect(completions("/to b", ["bob", "Bea", "carol"])).toEqual(["/to bob", "/to Bea"]);
  expect(completions("/msg c", ["carol"])).toEqual(["/msg carol "]);
  expect(completions("hello", ["bob"])).toEqual([]);
});
