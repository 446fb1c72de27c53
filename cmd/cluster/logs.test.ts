/** The comparison of logs is shown logs that are not the same, and logs that are not sound. */
import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ensureBuilt } from "../tasks/build.ts";
import { root } from "../tasks/run.ts";
import { compareLogs } from "./logs.ts";

const fixture = (name: string): string => join(root, "fixtures", "logs", name);

beforeAll(async () => {
  await ensureBuilt();
});

describe("logs", () => {
  test("are the same as themselves", async () => {
    expect(await compareLogs([fixture("sound"), fixture("sound")])).toEqual({ faults: [], uneven: null });
  });

  test("of another history are told apart", async () => {
    const { faults, uneven } = await compareLogs([fixture("sound"), fixture("superseded")]);
    expect(faults.length > 0 || uneven !== null).toBe(true);
  });

  test.each(["torn", "corrupt", "newer"])("that are %s are faults", async (name) => {
    const { faults } = await compareLogs([fixture(name)]).catch((error: Error) => ({ faults: [error.message] }));
    expect(faults.join("\n")).toContain(fixture(name));
  });
});
