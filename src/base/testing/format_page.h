#pragma once
// A page of docs/formats as its tables, so that tests can compare it with the bytes that are really
// written. What a page quotes then cannot drift from the code in silence.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir::base::testing {

// A field of a table "| offset | bytes | field | meaning |".
struct FormatField {
  std::string name;
  size_t offset = 0;
  size_t bytes = 0;

  // What stands there in `file`, whose table begins at `base`: text, or a little-endian number.
  std::string_view text(std::string_view file, size_t base = 0) const;
  uint64_t number(std::string_view file, size_t base = 0) const;
};

// Threading: one thread at a time.
class FormatPage {
 public:
  using Row = std::vector<std::string>;  // Cells without the spaces around them.

  // `path` from the root of the sources, where the test runs. A page that cannot be read fails the
  // test.
  explicit FormatPage(const std::string& path);

  // The rows of all tables under the heading `section`, without their heads.
  const std::vector<Row>& rows(const std::string& section) const;
  // The field `name`; one that is not there fails the test.
  FormatField field(const std::string& section, const std::string& name) const;
  // The offsets of all rows of which the third cell begins with `what`.
  std::vector<size_t> offsets(const std::string& section, std::string_view what) const;
  std::vector<std::string> sections() const;

 private:
  std::map<std::string, std::vector<Row>> rows_;
};

}  // namespace weir::base::testing
