// error: requires holding mutex 'mutex_'
// A field that a mutex guards cannot be touched without it.

#include "base/thread_annotations.h"

namespace {

class Count {
 public:
  void add() {
#if !defined(WEIR_MUST_FAIL)
    const weir::base::MutexLock lock{mutex_};
#endif
    ++count_;
  }

 private:
  weir::base::Mutex mutex_;
  int count_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace

int main() {
  Count count;
  count.add();
}
