import test from 'ava';
import { systemReason } from '../../core/system-error.ts';

for (const [thrown, reason] of [
  [{ code: 'ENOSPC' }, 'no space is left on its file system (ENOSPC)'],
  [Object.assign(new Error('lmdb says so'), { code: 30 }), 'its file system is read-only (EROFS)'],
  [{ code: 'EXDEV' }, 'EXDEV'],
  [Object.assign(new Error('MDB_MAP_FULL: full'), { code: -30_792 }), 'MDB_MAP_FULL: full'],
  [Object.assign(new Error('what'), { code: 3_999 }), 'what'],
  [new Error('it is no regular file'), 'it is no regular file'],
  [undefined, 'undefined'],
] as const) {
  test(`an operator reads "${reason}"`, (t) => {
    t.is(systemReason(thrown), reason);
  });
}
