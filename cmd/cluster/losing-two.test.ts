/** Any two of three replicas may be lost, in any order, the primary first or a backup. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { withScene } from "./end-to-end.fixture.ts";
import { loseTwo, orders } from "./losing-two.fixture.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

describe("losing two of three", () => {
  test("is tried in every order", () => {
    expect(new Set(orders.map(String)).size).toBe(6);
  });

  test.each(orders)("replica %d, then %d: nothing acknowledged is missing or doubled", async (first, second) => {
    await withScene((scene) => loseTwo(scene, first, second));
  });
});
