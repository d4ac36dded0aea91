/** Tests with real container runtimes: as root, one at a time. */
export default {
  files: ['test/e2e/**/*.test.ts'],
  typescript: { rewritePaths: { 'core/': 'dist/core/', 'test/': 'dist/test/' }, compile: false },
  concurrency: 1,
  serial: true,
  timeout: '240s',
};
