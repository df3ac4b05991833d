// @ts-check
/**
 * Our own lint rules: what only one place may do (read the time, start processes, …) as one table, and reasons for
 * everything that is switched off. They look at names, not types: a determined author can go round them, a review
 * sees that.
 */

const TESTS = /\.test\.ts$|\/testing\//;
const TOOLS = /^(e2e|scripts|installer)\/|^launch\.mjs$|^[^/]+\.config\.(js|ts)$/;
const BROWSER = /^coordinator\/src\/web\/browser\//;
const CLOCK = /\/lib\/system-clock\.ts$/;
const RANDOM = /\/lib\/system-random\.ts$/;
/** @type {RegExp[]} */
const NOWHERE = [];

/**
 * @typedef {{ selectors: string[], message: string, allowed: RegExp[] }} Ban What is banned (AST selectors), why and
 * what to do instead, and the files (paths from the repository's root) that may.
 * @type {Ban[]}
 */
export const BANS = [
  {
    selectors: [
      "MemberExpression[object.name='process'][property.name='env']",
      "VariableDeclarator[init.name='process'] Property[key.name='env']",
      "ImportDeclaration[source.value=/^(node:)?process$/] > ImportSpecifier[imported.name='env']",
    ],
    message: 'Only config/ reads the environment; take the value as a parameter.',
    allowed: [/\/config\//, TESTS, TOOLS],
  },
  {
    selectors: [
      "MemberExpression[object.name='process'][property.name='exit']",
      "ImportDeclaration[source.value=/^(node:)?process$/] > ImportSpecifier[imported.name='exit']",
    ],
    message: 'Only main.ts ends the process; throw an AppError.',
    allowed: [/\/main\.ts$/, TOOLS],
  },
  {
    selectors: ['ImportDeclaration[source.value=/^((node:)?child_process|execa)$/]'],
    message: 'Only agent/src/lib/run-command.ts starts processes.',
    allowed: [/^agent\/src\/lib\/run-command\.ts$/, TESTS, TOOLS],
  },
  {
    selectors: [
      "MemberExpression[object.name='Date'][property.name='now']",
      "NewExpression[callee.name='Date'][arguments.length=0]",
      "CallExpression[callee.name='Date']",
      "MemberExpression[object.name='performance'][property.name='now']",
      "MemberExpression[object.name='process'][property.name='hrtime']",
      "MemberExpression[object.name='AbortSignal'][property.name='timeout']",
      'CallExpression[callee.name=/^(setTimeout|setInterval|setImmediate)$/]',
      'CallExpression[callee.object.name=/^(globalThis|window)$/][callee.property.name=/^set(Timeout|Interval|Immediate)$/]',
      'ImportDeclaration[source.value=/^(node:)?timers(.promises)?$/]',
    ],
    message: 'Only lib/system-clock.ts reads the time or sets timers; take a Clock.',
    allowed: [CLOCK, BROWSER, TESTS, TOOLS],
  },
  {
    selectors: [
      "MemberExpression[object.name='Math'][property.name='random']",
      'MemberExpression[object.name=/^crypto$/][property.name=/^(randomBytes|randomUUID|randomInt|getRandomValues)$/]',
      'ImportSpecifier[imported.name=/^(randomBytes|randomUUID|randomInt|randomFill|randomFillSync|getRandomValues)$/]',
    ],
    message: 'Only lib/system-random.ts draws random numbers; take a Random.',
    allowed: [RANDOM, BROWSER, TESTS, TOOLS],
  },
  {
    selectors: ["MemberExpression[object.name='console']"],
    message: 'Only main, cli and scripts print; elsewhere take a logger, or return the text.',
    allowed: [/\/(main|cli)\.ts$/, TOOLS],
  },
  {
    selectors: [
      "Property[key.name='rejectUnauthorized'][value.value!=true]",
      'Identifier[name=/^NODE_TLS_REJECT_UNAUTHORIZED$/]',
      'Literal[value=/^NODE_TLS_REJECT_UNAUTHORIZED$/]',
    ],
    message: 'Nothing turns TLS verification off (I15); pin the certificate.',
    // It compares the certificate itself, before a byte is sent: that is the pinning.
    allowed: [/^agent\/src\/provisioners\/proxmox\/pinned-connector\.ts$/],
  },
  {
    selectors: [
      "CallExpression[callee.property.name='connect'] > ObjectExpression:has(> Property[key.name='username']):not(:has(> Property[key.name='hostVerifier']))",
    ],
    message: 'An ssh2 client accepts any host key unless it gets a hostVerifier (I15).',
    allowed: NOWHERE,
  },
  {
    selectors: ["MemberExpression[object.name='vi'][property.name=/^(mock|doMock)$/]"],
    message: 'No module mocking: if a test needs it, a port is missing.',
    allowed: NOWHERE,
  },
  {
    selectors: ['ExportDefaultDeclaration', "ExportSpecifier[exported.name='default']"],
    message: 'Exports have names, so that one thing is called the same everywhere.',
    allowed: [/^[^/]+\.config\.(js|ts)$/],
  },
];

/** @param {import('eslint').Rule.RuleContext} context */
const pathOf = (context) => context.filename.slice(context.cwd.length + 1).replaceAll('\\', '/');

/**
 * Reports what BANS forbids in this file.
 * @type {import('eslint').Rule.RuleModule}
 */
const ban = {
  create(context) {
    const path = pathOf(context);
    /** @type {Record<string, (node: import('eslint').Rule.Node) => void>} */
    const visitor = {};
    for (const { selectors, message, allowed } of BANS) {
      if (allowed.some((pattern) => pattern.test(path))) continue;
      for (const selector of selectors) visitor[selector] = (node) => context.report({ node, message });
    }
    return visitor;
  },
};

/**
 * `eslint-disable…` says why after ` -- `.
 * @type {import('eslint').Rule.RuleModule}
 */
const disableReason = {
  create(context) {
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) {
          if (!/^\s*eslint-(disable|enable)/.test(comment.value)) continue;
          if (/^\s*eslint-enable/.test(comment.value) || / -- \S.{9,}/.test(comment.value)) continue;
          if (comment.loc) context.report({ loc: comment.loc, message: 'Say why, after " -- ".' });
        }
      },
    };
  },
};

/**
 * A test that is skipped, or waits to be written, says why in a comment directly before it.
 * @type {import('eslint').Rule.RuleModule}
 */
const skipReason = {
  create(context) {
    return {
      'MemberExpression[object.name=/^(it|test|describe)$/][property.name=/^(skip|skipIf|runIf|todo)$/]'(
        /** @type {import('eslint').Rule.Node} */ node,
      ) {
        const statement = context.sourceCode
          .getAncestors(node)
          .findLast((ancestor) => ancestor.type === 'ExpressionStatement');
        if (statement && context.sourceCode.getCommentsBefore(statement).length > 0) return;
        context.report({ node, message: 'Say why this test is skipped, in a comment before it.' });
      },
    };
  },
};

/** The plugin as ESLint takes it. */
export const dcPlugin = { rules: { ban, 'disable-reason': disableReason, 'skip-reason': skipReason } };
