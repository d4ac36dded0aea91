/** Tests that make network namespaces, as root: one at a time. scripts/test-netns runs several files side by side. */
export default {
  files: ['test/netns/**/*.test.ts'],
  typescript: { rewritePaths: { 'core/': 'dist/core/', 'test/': 'dist/test/' }, compile: false },
  concurrency: 1,
  serial: true,
  timeout: '180s',
};
