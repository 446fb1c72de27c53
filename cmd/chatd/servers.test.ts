/** Which replicas a command starts with, and what it says when none of them answers. */
import { describe, expect, test } from "bun:test";
import { Command } from "commander";
import { reaching, remedyFor, serverOption } from "./servers.ts";

function serversOf(...words: readonly string[]): readonly string[] {
  const command = new Command("x").addOption(serverOption()).exitOverride();
  return command.parse(words, { from: "user" }).opts<{ server: readonly string[] }>().server;
}

describe("who has named no replica", () => {
  const isNamed = process.env["CHATD_SERVER"] !== undefined;

  test.skipIf(isNamed)("is told how to start one, and how to name one", () => {
    const servers = serversOf();
    expect(servers).toEqual(["127.0.0.1:1538", "127.0.0.1:2538", "127.0.0.1:3538"]);
    expect(remedyFor(servers)).toContain("chatd serve");
    expect(reaching(servers).remedy).toContain("--server");
  });

  test("and who has is not", () => {
    for (const servers of [serversOf("--server", "10.0.0.1:1538"), serversOf("--server", "127.0.0.1:1538")]) {
      expect(remedyFor(servers)).toBeNull();
      expect(reaching(servers)).toEqual({ servers });
    }
  });
});
