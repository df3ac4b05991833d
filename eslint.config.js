// @ts-check
/**
 * Lint for the whole repository: typescript-eslint's strict typed rules, our own bans (scripts/eslint-bans.mjs), and
 * nothing about layout, which is Prettier's. A rule is off only for the reason beside it.
 */
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { dcPlugin } from './scripts/eslint-bans.mjs';

export default defineConfig(
  globalIgnores(['**/dist/', '**/node_modules/', '.runtime/', '.data/', 'coverage/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.{ts,mjs,js}'],
    plugins: { dc: dcPlugin },
    rules: {
      'dc/ban': 'error',
      'dc/disable-reason': 'error',
      'dc/skip-reason': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-cond-assign': 'error',
      'no-control-regex': 'error',
      'no-empty': 'error',
      'no-self-compare': 'error',
      'no-template-curly-in-string': 'error',
      'no-unsafe-finally': 'error',
      'no-useless-escape': 'error',
      'prefer-const': 'error',
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Numbers, bigints and booleans in texts are what they look like; objects and undefined stay errors.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: false, allowAny: false, allowRegExp: false },
      ],
      // `return answer.end();` is the usual way to end with a void call.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // `[...text]` gives code points, which is what we count and cut texts by.
      '@typescript-eslint/no-misused-spread': ['error', { allow: ['string'] }],
      // A port may be asynchronous where one implementation of it has nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // `_` says that a parameter is there for its place.
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      // TypeScript keeps what it knows of `signal.aborted` across an await, so that this calls the second look needless.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // There are no enums (erasableSyntaxOnly).
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      'max-params': ['error', 4],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['**/*.test.ts', '**/testing/**/*.ts', 'e2e/**/*.ts'],
    rules: {
      // A describe() is a function of any length, and a test tells one story.
      'max-lines-per-function': 'off',
      // A test that finds undefined fails at that line, which is what it should do.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // expect(object.method) looks at the method and does not call it.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
);
