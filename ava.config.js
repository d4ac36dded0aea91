export default {
  files: ['test/**/*.test.ts', '!test/netns/**', '!test/e2e/**', '!test/sim/*-seeds.test.ts'],
  typescript: { rewritePaths: { 'core/': 'dist/core/', 'test/': 'dist/test/' }, compile: false },
  timeout: '120s',
};
