/** The version that this program says it is. */

/** Replaced when a release is built (`define` of the bundler); the value of package.json otherwise. */
export const VERSION = '0.1.0';
