#include "app/node.h"
int main(int argc, char** argv) {
  weir::app::ServeOptions options;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string{argv[i]} == "--config") options.config_file = argv[i + 1];
    if (std::string{argv[i]} == "--data") options.data_dir = argv[i + 1];
  }
  return weir::app::serve(options);
}
