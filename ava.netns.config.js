/** Tests that need root: they make and remove their own network namespaces. */
export default {
  files: ['test/netns/**/*.test.ts'],
  typescript: { rewritePaths: { 'core/': 'dist/core/', 'test/': 'dist/test/' }, compile: false },
  concurrency: 1,
  serial: true,
  timeout: '120s',
};
