import tseslint from 'typescript-eslint';
import ava from 'eslint-plugin-ava';

const pureFolders = [
  'core/**/*.ts',
  'gossip/**/*.ts',
  'ipam/**/*.ts',
  'router/wire/**/*.ts',
  'router/crypto/**/*.ts',
  'router/switch/**/*.ts',
  'router/link/**/*.ts',
  'router/control-node.ts',
  'router/data-node.ts',
  'router/lane-node.ts',
  'router/forwarder.ts',
];

/** Effects that pure code may not reach: the edge hands in time, randomness and bytes. */
const impureGlobals = [
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'process',
  'fetch',
].map((name) => ({ name, message: 'Pure folders take time and effects as arguments.' }));

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'native/build', 'coverage', '**/*.js', '**/*.cjs', '**/*.mjs'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      complexity: ['error', 12],
      'max-lines': ['error', { max: 500, skipBlankLines: false, skipComments: false }],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true, named: true } }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-confusing-void-expression': 'off',
    },
  },
  {
    files: pureFolders,
    ignores: ['ipam/lmdb-store.ts', 'ipam/lmdb-file.ts'],
    rules: {
      'no-restricted-globals': ['error', ...impureGlobals],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Pure folders take a RandomSource.' },
        { object: 'crypto', property: 'getRandomValues', message: 'Pure folders take a RandomSource.' },
      ],
    },
  },
  {
    files: ['router/**/*.ts', 'plugin/**/*.ts', 'cli/**/*.ts'],
    // The name of a spooled call says when it came, for people and for the order; nothing is decided by it.
    ignores: [...pureFolders, 'plugin/cni/node-shim.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'Date', message: 'The wall clock jumps: take monotonicNow().' },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    plugins: { ava },
    rules: {
      'max-lines': 'off',
      'max-lines-per-function': 'off',
      complexity: 'off',
      'ava/no-only-test': 'error',
      'ava/no-skip-test': 'error',
      'ava/no-identical-title': 'error',
      'ava/no-todo-test': 'error',
      'ava/use-t-well': 'error',
    },
  },
);
