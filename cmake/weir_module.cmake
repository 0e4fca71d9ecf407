# Everything that `./dev test` also builds under ThreadSanitizer.
add_custom_target(threads_tests)

# weir_bench(<name> <source>... LINKS <target>...)
#
# A program that measures: run by hand, or by ./dev bench, from a release build, and so no test. All
# of them are the target `benches`, which `./dev test` builds, so that they stay programs.
add_custom_target(benches)
function(weir_bench name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS")
  add_executable(${name} EXCLUDE_FROM_ALL ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  add_dependencies(benches ${name})
endfunction()

# weir_module(<name> HEADERS ... [SOURCES ...] [DEPENDS ...] [LINKS ...] [TEST_LINKS ...]
#   [TESTS ...] [THREAD_TESTS ...] [FUZZERS ...] [BATCHED])
#
# Declares one module: a directory under src/ whose headers are included as "<name>/x.h".
#   HEADERS  public headers, each self-contained: the source of the same name includes it first
#            (tools/tidy.py), and one without such a source is compiled alone.
#   DEPENDS  other modules. They must be declared earlier, so a cycle cannot be written.
#            tools/tidy.py rejects an #include that DEPENDS does not name.
#   LINKS    third-party targets, private to the module.
#   TEST_LINKS  modules and targets that only the tests use.
#   THREAD_TESTS  like TESTS, and run under ThreadSanitizer too.
#   TESTS    each x_test.cc becomes the ctest "<name>/x_test".
#   BATCHED  with WEIR_BATCHES, several sources are compiled as one: for modules whose headers take
#            longer than their code. Then no two sources of the module may give different things
#            one name.
#   FUZZERS  each x_fuzz.cc is always built as a corpus replay test; with WEIR_FUZZ also as a fuzzer.
function(weir_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "BATCHED" ""
    "HEADERS;SOURCES;DEPENDS;LINKS;TEST_LINKS;TESTS;THREAD_TESTS;FUZZERS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "weir_module(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()

  set(target weir_${name})
  set(scope PUBLIC)
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    target_compile_options(${target} PRIVATE  # Not for tests: GoogleTest registers them this way.
      $<$<CXX_COMPILER_ID:Clang>:-Wglobal-constructors>)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(weir::${name} ALIAS ${target})
  set(alone ${arg_HEADERS})
  foreach(source IN LISTS arg_SOURCES)
    string(REGEX REPLACE "\\.cc$" ".h" header ${source})
    list(REMOVE_ITEM alone ${header})
  endforeach()
  target_sources(${target} ${scope}
    FILE_SET alone TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${alone})
  target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR}/src)
  set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_libraries(${target} ${scope} weir_options)
  if(arg_SOURCES)
    weir_precompiled(${target})
  endif()
  if(arg_BATCHED AND WEIR_BATCHES)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # A batch is not a header: what it includes may well hold types of its own sources.
    target_compile_options(${target} PRIVATE
      $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()

  foreach(dependency IN LISTS arg_DEPENDS)
    if(NOT TARGET weir::${dependency})
      message(FATAL_ERROR "weir_module(${name}): '${dependency}' is not a lower module")
    endif()
    target_link_libraries(${target} ${scope} weir::${dependency})
  endforeach()
  if(arg_LINKS)
    target_link_libraries(${target} PRIVATE ${arg_LINKS})
  endif()

  foreach(source IN LISTS arg_TESTS arg_THREAD_TESTS)
    get_filename_component(test ${source} NAME_WE)
    weir_test_executable(${name}_${test} ${source})
    target_link_libraries(${name}_${test} PRIVATE weir::${name} ${arg_TEST_LINKS})
    add_test(NAME ${name}/${test} COMMAND ${name}_${test})
    if(source IN_LIST arg_THREAD_TESTS)
      set_tests_properties(${name}/${test} PROPERTIES LABELS threads)
      add_dependencies(threads_tests ${name}_${test})
    endif()
  endforeach()
  foreach(source IN LISTS arg_FUZZERS)
    get_filename_component(fuzzer ${source} NAME_WE)
    set(corpus ${PROJECT_SOURCE_DIR}/tests/corpus/${name}/${fuzzer})
    add_executable(${name}_${fuzzer}_replay ${source})
    target_link_libraries(${name}_${fuzzer}_replay PRIVATE weir::${name} fuzz_replay)
    add_test(NAME ${name}/${fuzzer} COMMAND ${name}_${fuzzer}_replay ${corpus})
    if(WEIR_FUZZ)
      add_executable(${name}_${fuzzer} ${source})
      target_link_libraries(${name}_${fuzzer} PRIVATE weir::${name})
      target_link_options(${name}_${fuzzer} PRIVATE -fsanitize=fuzzer)
    endif()
  endforeach()
endfunction()

# weir_test_executable(<name> SOURCE ...): a GoogleTest executable; what else it links is up to the
# caller.
function(weir_test_executable name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE weir_options GTest::gtest_main)
  if(WEIR_PRECOMPILE)
    target_precompile_headers(${name} REUSE_FROM weir_precompiled_tests)
    target_link_libraries(${name} PRIVATE fmt::fmt)
  endif()
endfunction()

# weir_precompiled(<name>): a library that includes the common headers ready-made.
function(weir_precompiled name)
  if(WEIR_PRECOMPILE)
    target_precompile_headers(${name} REUSE_FROM weir_precompiled)
    target_link_libraries(${name} PRIVATE fmt::fmt)  # Its definitions are part of the headers.
  endif()
endfunction()

# Flags every target shares. Exceptions stay enabled for the standard library; our code throws none.
add_library(weir_options INTERFACE)
target_compile_options(weir_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Wimplicit-fallthrough -Wcast-align -Wformat=2
  -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety;-Wno-gnu-statement-expression>
  $<$<BOOL:${WEIR_WERROR}>:-Werror>)
target_compile_definitions(weir_options INTERFACE _GLIBCXX_ASSERTIONS
  $<$<BOOL:${WEIR_FAULTS}>:WEIR_FAULTS>)
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" AND NOT WEIR_SANITIZE)
  target_compile_options(weir_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
    -fstack-protector-strong)
  target_link_options(weir_options INTERFACE -pie -Wl,-z,relro,-z,now)
endif()
target_link_libraries(weir_options INTERFACE Threads::Threads)
# A hundred test programs are linked: several times as fast with it.
find_program(WEIR_MOLD mold)
if(WEIR_MOLD AND CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_link_options(weir_options INTERFACE -fuse-ld=mold)
endif()
if(WEIR_SANITIZE)
  string(REPLACE "," ";" sanitizers "${WEIR_SANITIZE}")
  set(sanitize -fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if("undefined" IN_LIST sanitizers)
    # Each check has a record of where it stands: position-independent, two million relocations,
    # and 0.1 s of every start.
    list(APPEND sanitize -fno-pie)
    target_link_options(weir_options INTERFACE -no-pie)
  endif()
  target_compile_options(weir_options INTERFACE ${sanitize})
  target_link_options(weir_options INTERFACE ${sanitize})
endif()
if(WEIR_FUZZ)
  target_compile_options(weir_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(weir_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The main() of a corpus replay test.
add_library(fuzz_replay STATIC ${CMAKE_CURRENT_LIST_DIR}/../tools/fuzz_replay.cc)
target_link_libraries(fuzz_replay PRIVATE weir_options)

# Headers that most sources include, parsed once: half of a debug build's time. Not for release,
# so that a source that leans on one it does not include is found out there.
if(WEIR_PRECOMPILE)
  target_compile_options(weir_options INTERFACE -pthread)  # For all, or the headers do not fit.
  set(common <algorithm> <array> <atomic> <charconv> <chrono> <cstdint> <cstdlib> <cstring>
    <filesystem> <fstream> <functional> <limits> <map> <memory> <optional> <set> <span> <string>
    <string_view> <thread> <utility> <vector> <fmt/format.h>)
  set(empty ${PROJECT_BINARY_DIR}/precompiled.cc)
  file(CONFIGURE OUTPUT ${empty} CONTENT "int main() {}\n")
  add_library(weir_precompiled STATIC ${empty})
  target_link_libraries(weir_precompiled PRIVATE weir_options fmt::fmt)
  target_precompile_headers(weir_precompiled PRIVATE ${common})
  add_executable(weir_precompiled_tests ${empty})
  target_link_libraries(weir_precompiled_tests PRIVATE weir_options fmt::fmt GTest::gtest_main)
  target_precompile_headers(weir_precompiled_tests PRIVATE ${common} <gtest/gtest.h>)
endif()
