#pragma once
// What every Store must do. A test file instantiates it with a fixture type that has
//   std::unique_ptr<Store> open();   // Opens the same store again.

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "state/state.h"

namespace weir::state {

// Threading: one thread at a time.
template <typename Fixture>
class StoreContract : public ::testing::Test {
 protected:
  Fixture fixture;
  std::unique_ptr<Store> store = fixture.open();
};

TYPED_TEST_SUITE_P(StoreContract);

TYPED_TEST_P(StoreContract, HasNothingUnderANameThatWasNeverSaved) {
  EXPECT_EQ(this->store->load("absent").value(), std::nullopt);
}

TYPED_TEST_P(StoreContract, GivesBackWhatWasSavedLastWhateverTheBytes) {
  const std::string bytes{"\0\xff\n\x80 text", 9};
  ASSERT_TRUE(this->store->save("a/1", "first").ok());
  ASSERT_TRUE(this->store->save("a/1", bytes).ok());
  ASSERT_TRUE(this->store->save("a/2", "").ok());
  EXPECT_EQ(this->store->load("a/1").value(), bytes);
  EXPECT_EQ(this->store->load("a/2").value(), "");
  EXPECT_EQ(this->store->load("a/").value(), std::nullopt);
}

TYPED_TEST_P(StoreContract, KeepsImagesWhenItIsOpenedAgain) {
  ASSERT_TRUE(this->store->save("name", "image").ok());
  this->store.reset();
  this->store = this->fixture.open();
  EXPECT_EQ(this->store->load("name").value(), "image");
}

TYPED_TEST_P(StoreContract, TakesNamesAndImagesAtTheLimitAndRefusesOneByteMore) {
  const std::string name(Store::kNameBytesMax, 'n');
  const std::string image(Store::kImageBytesMax, '\x80');
  ASSERT_TRUE(this->store->save(name, image).ok());
  EXPECT_EQ(this->store->load(name).value(), image);
  for (const base::Status refused :
       {this->store->save(name + "n", "image"), this->store->save("", "image"),
        this->store->save(name, image + "x")}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, base::ErrorCode::limit_exceeded);
  }
  EXPECT_EQ(this->store->load(name).value(), image);
}

REGISTER_TYPED_TEST_SUITE_P(StoreContract, HasNothingUnderANameThatWasNeverSaved,
                            GivesBackWhatWasSavedLastWhateverTheBytes,
                            KeepsImagesWhenItIsOpenedAgain,
                            TakesNamesAndImagesAtTheLimitAndRefusesOneByteMore);

}  // namespace weir::state
