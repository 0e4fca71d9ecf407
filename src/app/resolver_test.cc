#include "app/resolver.h"

#include <atomic>
#include <future>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "os/clock.h"

namespace weir::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kNever = std::chrono::hours{1};
constexpr seconds kPatience{30};

std::vector<config::IpAddress> at(uint8_t last) {
  config::IpAddress address{};
  address.bytes.back() = last;
  return {address};
}

// Answers from a list that the test changes, and holds back what it is told to.
class Names {
 public:
  void set(const std::string& name, std::vector<config::IpAddress> addresses) {
    const base::MutexLock lock{mutex_};
    addresses_[name] = std::move(addresses);
  }
  void hold(const std::string& name) {
    const base::MutexLock lock{mutex_};
    held_.insert(name);
  }
  void release(const std::string& name) {
    const base::MutexLock lock{mutex_};
    held_.erase(name);
  }
  void release() {
    const base::MutexLock lock{mutex_};
    held_.clear();
  }
  std::vector<std::string> asked() const {
    const base::MutexLock lock{mutex_};
    return asked_;
  }

  bool is_blocked() const { return is_blocked_; }

  std::vector<config::IpAddress> answer(const std::string& name) {
    while (is_held(name)) {
      is_blocked_ = true;
      std::this_thread::sleep_for(milliseconds{1});
    }
    const base::MutexLock lock{mutex_};
    asked_.push_back(name);
    return addresses_[name];
  }

 private:
  bool is_held(const std::string& name) const {
    const base::MutexLock lock{mutex_};
    return held_.contains(name);
  }

  std::atomic<bool> is_blocked_{false};
  mutable base::Mutex mutex_;
  std::map<std::string, std::vector<config::IpAddress>> addresses_ WEIR_GUARDED_BY(mutex_);
  std::set<std::string> held_ WEIR_GUARDED_BY(mutex_);
  std::vector<std::string> asked_ WEIR_GUARDED_BY(mutex_);
};

struct ResolverTest : ::testing::Test {
  ResolverTest() {
    auto started = Resolver::start(
        clock,
        [this] {
          ++changes;
          return !is_deaf;
        },
        [this](const std::string& name) { return names.answer(name); });
    EXPECT_TRUE(started.ok());
    resolver = std::move(started).value();
  }
  // Released before the resolver's thread is joined.
  ~ResolverTest() override { names.release(); }

  std::future<void> watch(std::vector<std::string> wanted, milliseconds refresh = kNever) {
    const auto looked = std::make_shared<std::promise<void>>();
    resolver->watch(std::move(wanted), refresh, [looked] { looked->set_value(); });
    return looked->get_future();
  }
  template <typename Condition>
  bool comes_true(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(milliseconds{1});
    return condition();
  }

  os::RealClock clock;
  Names names;
  std::atomic<int> changes{0};
  std::atomic<bool> is_deaf{false};
  std::unique_ptr<Resolver> resolver;
};

TEST_F(ResolverTest, WhoWaitsForNewNamesFindsTheirAddresses) {
  names.set("a", at(1));
  watch({"a", "none"}).wait();
  const gateway::Addresses addresses = resolver->addresses();
  EXPECT_EQ(addresses.at("a"), at(1));
  EXPECT_TRUE(addresses.at("none").empty()) << "looked up in vain, which is known, too";
}

TEST_F(ResolverTest, ANewNameIsNotKeptWaitingByKnownOnes) {
  names.set("slow", at(1));
  watch({"slow"}).wait();
  names.hold("slow");
  names.set("new", at(2));
  EXPECT_EQ(watch({"new", "slow"}).wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(resolver->addresses().at("new"), at(2));
  EXPECT_EQ(resolver->addresses().at("slow"), at(1));
}

TEST_F(ResolverTest, TheFirstAddressesOfANameAreToldBeforeSlowerLookUps) {
  names.set("a", at(1));
  names.hold("slow");
  const auto looked = watch({"a", "slow"});
  EXPECT_TRUE(comes_true([this] { return resolver->addresses().contains("a"); }));
  EXPECT_TRUE(comes_true([this] { return changes == 1; }));
  EXPECT_NE(looked.wait_for(milliseconds{0}), std::future_status::ready);
}

TEST_F(ResolverTest, AStormOfChangesLooksNothingUpAgain) {
  names.set("a", at(1));
  for (int i = 0; i < 100; ++i)
    watch({"a"});
  watch({"a"}).wait();
  EXPECT_EQ(names.asked(), std::vector<std::string>{"a"});
}

TEST_F(ResolverTest, ANameThatDidNotResolveIsLookedUpAgainSoonAfterTheNextChange) {
  watch({"late"}).wait();
  names.set("late", at(3));
  watch({"late"}).wait();
  EXPECT_TRUE(comes_true([this] { return resolver->addresses().at("late") == at(3); }));
}

TEST_F(ResolverTest, ChangesDoNotLookUpAgainWhatDoesNotResolve) {
  watch({"dead"}).wait();
  for (int i = 0; i < 10; ++i)
    watch({"dead"}).wait();
  EXPECT_LT(names.asked().size(), 4U) << "a second goes by between two rounds";
}

TEST_F(ResolverTest, ANewNameIsLookedUpInTheMiddleOfARound) {
  watch({"a", "b", "c", "d"}, milliseconds{10}).wait();
  names.hold("a");
  ASSERT_TRUE(comes_true([this] { return names.is_blocked(); }));
  const size_t before = names.asked().size();
  const auto looked = watch({"a", "b", "c", "d", "new"});
  names.release();
  ASSERT_EQ(looked.wait_for(kPatience), std::future_status::ready);
  const std::vector<std::string> asked = names.asked();
  ASSERT_GE(asked.size(), before + 2);
  EXPECT_EQ(asked[before], "a");
  EXPECT_EQ(asked[before + 1], "new");
}

TEST_F(ResolverTest, ItsEndWaitsForOneLookUpAlone) {
  names.hold("a");
  names.hold("b");
  const auto looked = watch({"a", "b", "c"});
  ASSERT_TRUE(comes_true([this] { return names.is_blocked(); }));
  std::atomic<bool> has_ended{false};
  std::thread release{[&] {
    std::this_thread::sleep_for(milliseconds{20});  // The end has begun, or will while "b" is held.
    names.release("a");
    for (int i = 0; i < 2000 && !has_ended; ++i)
      std::this_thread::sleep_for(milliseconds{1});
    names.release();
  }};
  resolver.reset();
  has_ended = true;
  release.join();
  EXPECT_LE(names.asked().size(), 2U) << "\"c\" was still to come";
}

TEST_F(ResolverTest, TheLastGoodAnswerStaysWhileLookUpsFail) {
  names.set("a", at(1));
  watch({"a"}, milliseconds{10}).wait();
  names.set("a", {});
  const size_t before = names.asked().size();
  EXPECT_TRUE(comes_true([&] { return names.asked().size() >= before + 2; }));
  EXPECT_EQ(resolver->addresses().at("a"), at(1));
}

TEST_F(ResolverTest, AChangeThatNobodyCouldBeToldOfIsToldAgain) {
  is_deaf = true;
  names.set("a", at(1));
  watch({"a"}, milliseconds{10}).wait();
  EXPECT_TRUE(comes_true([this] { return changes >= 3; }));
  is_deaf = false;
  const auto two_more_rounds = [this, before = names.asked().size()] {
    return names.asked().size() >= before + 2;
  };
  EXPECT_TRUE(comes_true(two_more_rounds));
  const int told = changes;
  EXPECT_TRUE(comes_true(
      [this, before = names.asked().size()] { return names.asked().size() >= before + 2; }));
  EXPECT_EQ(changes, told) << "once it is told, that is all";
}

TEST_F(ResolverTest, NamesThatAreNoLongerWantedAreForgottenAtTheNextRound) {
  names.set("a", at(1));
  names.set("b", at(2));
  watch({"a", "b"}).wait();
  watch({"b"}).wait();
  EXPECT_TRUE(resolver->addresses().contains("a")) << "for whoever goes back to it";
  watch({"b"}, milliseconds{10}).wait();
  EXPECT_TRUE(comes_true([this] { return !resolver->addresses().contains("a"); }));
  EXPECT_TRUE(resolver->addresses().contains("b"));
}

}  // namespace
}  // namespace weir::app
