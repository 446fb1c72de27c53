/** What may not overtake an op that was refused as unavailable. */
import { expect, test } from "bun:test";
import { Overtaking } from "./overtaking.ts";

test("what was on its way already does not come before what is asked for again", () => {
  const overtaking = new Overtaking();
  overtaking.refused(3);
  expect(overtaking.overtakes({ seq: 2, oldest: 1 })).toBe(false);
  expect(overtaking.overtakes({ seq: 4, oldest: 3 })).toBe(true);
  overtaking.refused(4);
  overtaking.asked(3);
  // The client has not heard yet that 4 was refused.
  expect(overtaking.overtakes({ seq: 5, oldest: 3 })).toBe(true);
  overtaking.refused(5);
  overtaking.asked(4);
  expect(overtaking.overtakes({ seq: 4, oldest: 3 })).toBe(false);
  overtaking.asked(5);
  expect(overtaking.overtakes({ seq: 5, oldest: 3 })).toBe(false);
});

test("an op for which the client waits no more holds nothing up", () => {
  const overtaking = new Overtaking();
  overtaking.refused(3);
  expect(overtaking.overtakes({ seq: 4, oldest: 4 })).toBe(false);
  expect(overtaking.overtakes({ seq: 5, oldest: 3 })).toBe(false);
});
