export default {
  files: ['test/**/*.test.ts', '!test/netns/**', '!test/e2e/**'],
  typescript: { rewritePaths: { 'core/': 'dist/core/', 'test/': 'dist/test/' }, compile: false },
  timeout: '120s',
  // Simulations make much garbage that dies young.
  nodeArguments: ['--max-semi-space-size=32'],
};
