/** The order in which addresses are tried. */
import { describe, expect, test } from "bun:test";
import { AddressBook } from "./addresses.ts";

describe("the order of trying", () => {
  test("begins where it is told to and goes around", () => {
    expect(new AddressBook(["a:1", "b:2", "c:3"]).order()).toEqual(["a:1", "b:2", "c:3"]);
    expect(new AddressBook(["a:1", "b:2", "c:3"], 5).order()).toEqual(["c:3", "a:1", "b:2"]);
    expect(new AddressBook([]).order()).toEqual([]);
  });

  test("the one that failed comes last", () => {
    const book = new AddressBook(["a:1", "b:2", "c:3"]);
    book.startAfter("b:2");
    expect(book.order()).toEqual(["c:3", "a:1", "b:2"]);
    book.startAfter("x:9");
    expect(book.order()).toEqual(["c:3", "a:1", "b:2"]);
  });

  test("what is learnt comes after what was given, and is replaced by what is learnt later", () => {
    const book = new AddressBook(["a:1"]);
    book.learn(["b:2", "a:1", "nonsense"]);
    expect(book.order()).toEqual(["a:1", "b:2"]);
    book.startAfter("a:1");
    book.learn(["c:3"]);
    expect(book.order()).toEqual(["a:1", "c:3"]);
  });
});
