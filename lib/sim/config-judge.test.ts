/** The judge's own rules of which disks a view under `quorum` needs. */
import { expect, test } from "bun:test";
import type { ViewEntry } from "../protocol/entries.ts";
import { quorumFault } from "./config-judge.ts";

/** Disks by their names, `b` for the first of replica 2, `b2` for the one that has replaced it. */
const pidOf = (disk: string): number => disk.charCodeAt(0) - 96;

function viewOf(config: readonly string[], members: readonly string[]): ViewEntry {
  return {
    view: 2 * 256 + 1,
    parent: 0,
    policy: "quorum",
    epoch: 1,
    members: members.map((uuid) => ({ pid: pidOf(uuid), uuid, incarnation: 1 })),
    config: config.map((uuid) => ({ pid: pidOf(uuid), address: "", uuid })),
    awaiting: [],
  };
}

const three = viewOf(["a", "b", "c"], ["a", "b", "c"]);

test("a majority of its own config", () => {
  expect(quorumFault(null, three, 1)).toBeNull();
  expect(quorumFault(three, viewOf(["a", "b", "c"], ["a", "c"]), 1)).toBeNull();
  expect(quorumFault(three, viewOf(["a", "b", "c"], ["a"]), 1)).toContain("1 of 3 replicas");
});

test("and each majority of the config before, by the disks that were in it", () => {
  expect(quorumFault(three, viewOf(["a", "b2", "c"], ["a", "b2", "c"]), 1)).toBeNull();
  expect(quorumFault(three, viewOf(["a", "b2", "c"], ["a", "b2"]), 1)).toContain("1 of the 3 disks");
  // Two of four that stay meet whichever three go on.
  const four = viewOf(["a", "b", "c", "d"], ["a", "b", "c"]);
  expect(quorumFault(four, viewOf(["a", "b", "d"], ["a", "b"]), 1)).toBeNull();
});
