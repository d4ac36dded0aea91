/** The import rules of docs/ARCHITECTURE.md: core <- pure folders <- nodes <- edges <- plugin <- cli. */
const rule = (name, from, to) => ({ name, severity: 'error', from, to });
const pure = '^(core|gossip|ipam|router/(wire|crypto|switch|link)|router/(control|data)-node[.]ts)';
module.exports = {
  forbidden: [
    rule('no-circular', {}, { circular: true }),
    rule(
      'core-imports-nothing-of-ours',
      { path: '^core/' },
      { path: '^(gossip|ipam|router|plugin|cli|scripts|test)/' },
    ),
    rule('gossip-stands-alone', { path: '^gossip/' }, { path: '^(ipam|router|plugin|cli|scripts|test)/' }),
    rule(
      'ipam-knows-only-the-channel-port',
      { path: '^ipam/' },
      { path: '^(gossip|router|plugin|cli|scripts|test)/', pathNot: '^gossip/channel[.]ts$' },
    ),
    rule(
      'pure-router-stays-below-nodes',
      { path: '^router/(wire|crypto|switch|link)/' },
      {
        path: '^(gossip|ipam|plugin|cli|scripts|test|router/(engine|api|loop|control-node|data-node|lane-node|forwarder))',
        // Ports: gossip's, which router/crypto implements, and the engine's, whose plans the switch fills.
        pathNot: '^(gossip/secure-channel|router/engine/port)[.]ts$',
      },
    ),
    rule(
      'nodes-stay-below-edges',
      { path: '^router/((control|data|lane)-node|forwarder)[.]ts$' },
      { path: '^(plugin|cli|scripts|test|router/(api|loop))/' },
    ),
    rule(
      'data-node-knows-only-the-engine-port',
      { path: '^router/((control|data|lane)-node|forwarder)[.]ts$' },
      { path: '^router/engine/', pathNot: '^router/engine/port[.]ts$' },
    ),
    rule(
      'router-edges-stay-below-plugin',
      { path: '^router/(engine|api|loop)/' },
      { path: '^(plugin|cli|scripts|test)/' },
    ),
    rule('plugin-stays-below-cli', { path: '^plugin/' }, { path: '^(cli|scripts|test)/' }),
    rule(
      'product-imports-no-tests',
      { path: '^(core|gossip|ipam|router|plugin|cli|scripts)/' },
      { path: '^test/' },
    ),
    rule(
      'libsodium-only-in-crypto',
      { pathNot: '^(router/crypto/(libsodium|buffer-aead)[.]ts|test/)' },
      { path: 'node_modules/libsodium' },
    ),
    rule(
      'pure-folders-have-no-effects',
      { path: pure, pathNot: '^(ipam/lmdb-(store|file)|core/sha512)[.]ts$' },
      {
        dependencyTypes: ['core'],
        path: '^(node:)?(dgram|net|fs|fs/promises|http|https|child_process|timers|timers/promises|worker_threads|os|tls|dns|crypto|process|cluster)$',
      },
    ),
    rule(
      'lmdb-only-in-its-store',
      { pathNot: '^(ipam/lmdb-store[.]ts|test/)' },
      { path: 'node_modules/lmdb' },
    ),
    rule('not-to-unresolvable', {}, { couldNotResolve: true }),
    rule(
      'no-dev-dependencies-in-the-product',
      { path: '^(core|gossip|ipam|router|plugin|cli)/' },
      { dependencyTypes: ['npm-dev'] },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    exclude: { path: '^(dist|native/build|coverage)' },
  },
};
