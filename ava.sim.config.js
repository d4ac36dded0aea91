/** The seeds of the simulation: two processes, apart from the unit tests, whose coverage they would slow down. */
export default {
  files: ['test/sim/*-seeds.test.ts'],
  typescript: { rewritePaths: { 'core/': 'dist/core/', 'test/': 'dist/test/' }, compile: false },
  workerThreads: false,
  // Most of what is made lives for one virtual moment; and both processors have a process already.
  nodeArguments: ['--max-semi-space-size=64', '--single-threaded-gc'],
  timeout: '600s',
};
