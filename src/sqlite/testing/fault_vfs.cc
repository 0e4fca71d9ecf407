#include "sqlite/testing/fault_vfs.h"

#include <limits>

#include <sqlite3.h>

#include "base/assert.h"

namespace weir::sqlite::testing {
namespace {

struct Plan {
  int64_t nth = std::numeric_limits<int64_t>::max();
  Fault fault = Fault::io_error;
  Spell spell = Spell::once;
  int64_t operations = 0;
  bool struck = false;
};

// SQLite's interface is a table of C functions without a context of ours.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
constinit Plan plan;

bool strikes(Fault kind) {
  if (kind != plan.fault) return false;
  const int64_t number = plan.operations++;
  const bool due = plan.spell == Spell::once ? number == plan.nth : number >= plan.nth;
  plan.struck = plan.struck || due;
  return due;
}

// What every open file of ours looks like; the system's file follows in the same memory.
struct FaultFile {
  sqlite3_file base;
  sqlite3_file* real;
};

sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<FaultFile*>(file)->real;
}

int write_fault(int otherwise) {
  if (strikes(Fault::io_error)) return otherwise;
  if (strikes(Fault::disk_full)) return SQLITE_FULL;
  if (strikes(Fault::read_only)) return SQLITE_READONLY;
  return SQLITE_OK;
}

int file_close(sqlite3_file* file) {
  return real(file)->pMethods->xClose(real(file));
}
int file_read(sqlite3_file* file, void* out, int bytes, sqlite3_int64 offset) {
  return real(file)->pMethods->xRead(real(file), out, bytes, offset);
}
int file_write(sqlite3_file* file, const void* in, int bytes, sqlite3_int64 offset) {
  if (const int code = write_fault(SQLITE_IOERR_WRITE); code != SQLITE_OK) {
    // A failed write may still have left something behind.
    if (bytes > 1) real(file)->pMethods->xWrite(real(file), in, bytes / 2, offset);
    return code;
  }
  return real(file)->pMethods->xWrite(real(file), in, bytes, offset);
}
int file_truncate(sqlite3_file* file, sqlite3_int64 bytes) {
  if (strikes(Fault::io_error)) return SQLITE_IOERR_TRUNCATE;
  return real(file)->pMethods->xTruncate(real(file), bytes);
}
int file_sync(sqlite3_file* file, int flags) {
  if (strikes(Fault::io_error)) return SQLITE_IOERR_FSYNC;
  return real(file)->pMethods->xSync(real(file), flags);
}
int file_size(sqlite3_file* file, sqlite3_int64* bytes) {
  return real(file)->pMethods->xFileSize(real(file), bytes);
}
int file_lock(sqlite3_file* file, int level) {
  if (strikes(Fault::locked)) return SQLITE_BUSY;
  return real(file)->pMethods->xLock(real(file), level);
}
int file_unlock(sqlite3_file* file, int level) {
  return real(file)->pMethods->xUnlock(real(file), level);
}
int file_check_reserved_lock(sqlite3_file* file, int* result) {
  return real(file)->pMethods->xCheckReservedLock(real(file), result);
}
int file_control(sqlite3_file* file, int operation, void* argument) {
  return real(file)->pMethods->xFileControl(real(file), operation, argument);
}
int file_sector_size(sqlite3_file* file) {
  return real(file)->pMethods->xSectorSize(real(file));
}
int file_characteristics(sqlite3_file* file) {
  return real(file)->pMethods->xDeviceCharacteristics(real(file));
}
int file_shm_map(sqlite3_file* file, int region, int bytes, int extend, void volatile** out) {
  return real(file)->pMethods->xShmMap(real(file), region, bytes, extend, out);
}
int file_shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  const bool takes = (flags & SQLITE_SHM_LOCK) != 0;
  if (takes && (flags & SQLITE_SHM_EXCLUSIVE) != 0 && strikes(Fault::locked)) return SQLITE_BUSY;
  return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}
void file_shm_barrier(sqlite3_file* file) {
  real(file)->pMethods->xShmBarrier(real(file));
}
int file_shm_unmap(sqlite3_file* file, int remove) {
  return real(file)->pMethods->xShmUnmap(real(file), remove);
}

const sqlite3_io_methods kMethods{
    2,
    file_close,
    file_read,
    file_write,
    file_truncate,
    file_sync,
    file_size,
    file_lock,
    file_unlock,
    file_check_reserved_lock,
    file_control,
    file_sector_size,
    file_characteristics,
    file_shm_map,
    file_shm_lock,
    file_shm_barrier,
    file_shm_unmap,
    nullptr,
    nullptr,
};

sqlite3_vfs* system_vfs(sqlite3_vfs* vfs) {
  return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

int vfs_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* const ours = reinterpret_cast<FaultFile*>(file);
  ours->real = reinterpret_cast<sqlite3_file*>(ours + 1);
  ours->base.pMethods = nullptr;
  const int code = system_vfs(vfs)->xOpen(system_vfs(vfs), name, ours->real, flags, out_flags);
  if (ours->real->pMethods != nullptr) ours->base.pMethods = &kMethods;
  return code;
}
int vfs_delete(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  if (strikes(Fault::io_error)) return SQLITE_IOERR_DELETE;
  return system_vfs(vfs)->xDelete(system_vfs(vfs), name, sync_directory);
}

sqlite3_vfs make_vfs() {
  sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
  vfs.pAppData = sqlite3_vfs_find(nullptr);
  vfs.zName = FaultVfs::kName;
  vfs.pNext = nullptr;
  vfs.szOsFile += static_cast<int>(sizeof(FaultFile));
  vfs.xOpen = vfs_open;
  vfs.xDelete = vfs_delete;
  return vfs;
}

sqlite3_vfs& our_vfs() {
  static sqlite3_vfs vfs = make_vfs();
  return vfs;
}

}  // namespace

FaultVfs::FaultVfs() {
  WEIR_ASSERT(sqlite3_vfs_find(kName) == nullptr);
  plan = {};
  sqlite3_vfs_register(&our_vfs(), 0);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&our_vfs());
}

void FaultVfs::fail_at(int64_t nth, Fault fault, Spell spell) {
  plan = Plan{nth, fault, spell, 0, false};
}

void FaultVfs::heal() {
  plan = {};
}

int64_t FaultVfs::operations() const {
  return plan.operations;
}

bool FaultVfs::struck() const {
  return plan.struck;
}

}  // namespace weir::sqlite::testing
