/** Usage errors: one line each, however little was said. */
import { expect, test } from "bun:test";
import { Command } from "commander";
import { adminCommand } from "./admin.ts";
import { clusterCommand } from "./cluster.ts";
import { missingCommand } from "./usage.ts";

const root = new Command("chatd").addCommand(clusterCommand()).addCommand(adminCommand());

test("where a command is due those that there are stand in one line", () => {
  expect(missingCommand(root, [])).toBe("what is to be done? One of cluster, admin; see chatd --help");
  expect(missingCommand(root, ["cluster"])).toBe(
    "what is to be done? One of status, add, remove; see chatd cluster --help",
  );
  expect(missingCommand(root, ["admin"])).toBe("what is to be done? One of reset-password; see chatd admin --help");
});

test("a whole command, and words that are no command, are for others to judge", () => {
  expect(missingCommand(root, ["cluster", "status"])).toBeNull();
  expect(missingCommand(root, ["cluster", "frobnicate"])).toBeNull();
  expect(missingCommand(root, ["cluster", "--help"])).toBeNull();
});
