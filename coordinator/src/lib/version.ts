/** The version that this program says it is. */

/** Replaced when a release is built; the value of package.json otherwise, which cli.test.ts checks. */
export const VERSION = '0.1.0';
