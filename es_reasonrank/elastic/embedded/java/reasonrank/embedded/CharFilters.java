package reasonrank.embedded;

import static org.elasticsearch.plugins.AnalysisPlugin.requiresAnalysisSettings;

import java.io.Reader;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import org.apache.lucene.analysis.charfilter.HTMLStripCharFilter;
import org.apache.lucene.analysis.charfilter.MappingCharFilter;
import org.apache.lucene.analysis.charfilter.NormalizeCharMap;
import org.apache.lucene.analysis.pattern.PatternReplaceCharFilter;
import org.elasticsearch.index.analysis.CharFilterFactory;
import org.elasticsearch.index.analysis.NormalizingCharFilterFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;

/** html_strip, mapping and pattern_replace. */
final class CharFilters {
  static Map<String, AnalysisProvider<CharFilterFactory>> all() {
    return Map.of(
        "html_strip", (index, environment, name, settings) -> new CharFilterFactory() {
          @Override
          public String name() {
            return name;
          }

          @Override
          public Reader create(Reader reader) {
            return new HTMLStripCharFilter(reader, Set.copyOf(settings.getAsList("escaped_tags")));
          }
        },
        "mapping", requiresAnalysisSettings(normalizing((reader, options) ->
            new MappingCharFilter(mapping(options), reader))),
        "pattern_replace", requiresAnalysisSettings(normalizing((reader, options) ->
            new PatternReplaceCharFilter(options.pattern(""), options.text("replacement", ""), reader))));
  }

  private static NormalizeCharMap mapping(Options options) {
    NormalizeCharMap.Builder map = new NormalizeCharMap.Builder();
    for (String rule : options.words("mappings")) {
      String[] sides = rule.split("=>", 2);
      if (sides.length < 2) {
        throw new IllegalArgumentException("mapping [" + rule + "] must be of the form [from => to]");
      }
      map.add(sides[0].trim(), sides[1].trim());
    }
    return map.build();
  }

  /** A filter that normalizers and wildcard queries may use too. */
  private static AnalysisProvider<CharFilterFactory> normalizing(BiFunction<Reader, Options, Reader> filter) {
    return (index, environment, name, settings) -> new NormalizingCharFilterFactory() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public Reader create(Reader reader) {
        return filter.apply(reader, new Options(index, environment, settings));
      }
    };
  }
}
