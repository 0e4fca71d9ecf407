#include "os/thread_stack.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace weir::os {

// Not in an unnamed namespace: only what is exported has a name in a stack.
void stay_here(const std::atomic<bool>& done) {
  while (!done.load()) {
  }
}

namespace {

using std::chrono::milliseconds;

// A thread that stays where it is until it is destroyed.
class Staying {
 public:
  Staying()
      : thread_([this] {
          tid_ = this_thread();
          stay_here(done_);
        }) {
    while (tid_ == 0)
      std::this_thread::yield();
  }
  ~Staying() { end(); }
  pid_t tid() const { return tid_; }
  void end() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

class ThreadStackTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { install_stack_handler(); }
};

TEST_F(ThreadStackTest, NamesWhereAnotherThreadIsOutermostLast) {
  Staying thread;
  std::string text;
  // It is in stay_here() very soon, but perhaps not at once.
  for (int i = 0; i < 1000 && text.find("stay_here") == std::string::npos; ++i)
    text = describe_stack(stack_of(thread.tid(), milliseconds{1000}));
  EXPECT_NE(text.find("weir::os::stay_here"), std::string::npos) << text;
  EXPECT_LT(text.find("stay_here"), text.find("clone")) << text;
}

TEST_F(ThreadStackTest, NamesItsOwnStack) {
  EXPECT_NE(describe_stack(stack_of(this_thread(), milliseconds{1000})).find("testing::Test::Run"),
            std::string::npos);
}

TEST_F(ThreadStackTest, IsEmptyForAThreadThatIsGone) {
  Staying thread;
  thread.end();
  EXPECT_TRUE(stack_of(thread.tid(), milliseconds{1000}).empty());
}

// Goal: an answer that comes after its caller gave up harms no later call. Method: ask two threads
// in turn with no patience at all, thousands of times; then both must answer with their own stack.
TEST_F(ThreadStackTest, AnswersThatComeTooLateAreDropped) {
  Staying one;
  Staying two;
  for (int i = 0; i < 2000; ++i) {
    stack_of(one.tid(), milliseconds{0});
    stack_of(two.tid(), milliseconds{0});
  }
  for (const pid_t tid : {one.tid(), two.tid()}) {
    std::string text;
    for (int i = 0; i < 1000 && text.find("stay_here") == std::string::npos; ++i)
      text = describe_stack(stack_of(tid, milliseconds{1000}));
    EXPECT_NE(text.find("stay_here"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace weir::os
