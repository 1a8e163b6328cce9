package reasonrank.embedded;

import static org.elasticsearch.plugins.AnalysisPlugin.requiresAnalysisSettings;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.cjk.CJKBigramFilter;
import org.apache.lucene.analysis.commongrams.CommonGramsFilter;
import org.apache.lucene.analysis.commongrams.CommonGramsQueryFilter;
import org.apache.lucene.analysis.compound.DictionaryCompoundWordTokenFilter;
import org.apache.lucene.analysis.core.KeywordTokenizer;
import org.apache.lucene.analysis.core.TypeTokenFilter;
import org.apache.lucene.analysis.fr.FrenchAnalyzer;
import org.apache.lucene.analysis.miscellaneous.ASCIIFoldingFilter;
import org.apache.lucene.analysis.miscellaneous.FingerprintFilter;
import org.apache.lucene.analysis.miscellaneous.KeepWordFilter;
import org.apache.lucene.analysis.miscellaneous.LengthFilter;
import org.apache.lucene.analysis.miscellaneous.LimitTokenCountFilter;
import org.apache.lucene.analysis.miscellaneous.PatternKeywordMarkerFilter;
import org.apache.lucene.analysis.miscellaneous.SetKeywordMarkerFilter;
import org.apache.lucene.analysis.miscellaneous.TruncateTokenFilter;
import org.apache.lucene.analysis.ngram.EdgeNGramTokenFilter;
import org.apache.lucene.analysis.ngram.NGramTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.apache.lucene.analysis.pattern.PatternReplaceFilter;
import org.apache.lucene.analysis.util.ElisionFilter;
import org.elasticsearch.index.analysis.Analysis;
import org.elasticsearch.index.analysis.NormalizingTokenFilterFactory;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;

/** Token filters with Elasticsearch's settings and defaults; `stop`, `shingle` and `hunspell` are in the server. */
final class TokenFilters {
  /** What a filter does to a stream. */
  interface Filter extends BiFunction<TokenStream, Options, TokenStream> {}

  /** Filters without settings; Lucene has them under these names without the underscores. */
  private static final List<String> PLAIN = List.of("apostrophe", "classic", "flatten_graph", "keyword_repeat", "kstem",
      "porter_stem", "remove_duplicates");

  private static final List<String> PLAIN_NORMALIZING = List.of("arabic_normalization", "bengali_normalization",
      "cjk_width", "decimal_digit", "german_normalization", "hindi_normalization", "indic_normalization",
      "persian_normalization", "scandinavian_folding", "scandinavian_normalization", "serbian_normalization",
      "sorani_normalization", "trim", "uppercase");

  private static final Map<String, Integer> SCRIPTS = Map.of("han", CJKBigramFilter.HAN,
      "hiragana", CJKBigramFilter.HIRAGANA, "katakana", CJKBigramFilter.KATAKANA, "hangul", CJKBigramFilter.HANGUL);

  static Map<String, AnalysisProvider<TokenFilterFactory>> all() {
    var all = new HashMap<String, AnalysisProvider<TokenFilterFactory>>();
    PLAIN.forEach(name -> all.put(name, filter(Lucene.filter(name))));
    PLAIN_NORMALIZING.forEach(name -> all.put(name, normalizing(Lucene.filter(name))));
    all.put("lowercase", normalizing((in, options) ->
        Lucene.filter(options.text("language", "") + "lowercase").apply(in, options)));
    all.put("reverse", filter(Lucene.filter("reversestring")));
    all.put("snowball", filter(Stemmers::snowball));
    all.put("stemmer", filter(Stemmers::stemmer));
    all.put("stemmer_override", requiresAnalysisSettings(filter(Stemmers::override)));
    all.put("synonym", requiresAnalysisSettings(Synonyms.provider(false)));
    all.put("synonym_graph", requiresAnalysisSettings(Synonyms.provider(true)));
    putTexts(all);
    putSelections(all);
    putParts(all);
    return all;
  }

  /** Filters that change a token's text. */
  private static void putTexts(Map<String, AnalysisProvider<TokenFilterFactory>> all) {
    all.put("asciifolding", normalizing((in, options) ->
        new ASCIIFoldingFilter(in, options.flag("preserve_original", false))));
    all.put("elision", normalizing((in, options) -> {
      CharArraySet articles = Analysis.parseArticles(options.environment(), options.settings());
      return new ElisionFilter(in, articles == null ? FrenchAnalyzer.DEFAULT_ARTICLES : articles);
    }));
    all.put("pattern_replace", requiresAnalysisSettings(normalizing((in, options) -> new PatternReplaceFilter(in,
        options.pattern(""), options.text("replacement", ""), options.flag("all", true)))));
    all.put("truncate", filter((in, options) -> new TruncateTokenFilter(in, options.number("length", 10))));
  }

  /** Filters that drop or mark tokens. */
  private static void putSelections(Map<String, AnalysisProvider<TokenFilterFactory>> all) {
    all.put("keep", requiresAnalysisSettings(filter((in, options) ->
        new KeepWordFilter(in, options.wordSet("keep_words", "keep_words_case")))));
    all.put("keep_types", requiresAnalysisSettings(filter((in, options) -> new TypeTokenFilter(in,
        Set.copyOf(options.words("types")), options.text("mode", "include").equals("include")))));
    all.put("keyword_marker", requiresAnalysisSettings(filter((in, options) -> {
      String pattern = options.text("keywords_pattern", null);
      return pattern == null
          ? new SetKeywordMarkerFilter(in, options.wordSet("keywords", "ignore_case"))
          : new PatternKeywordMarkerFilter(in, Pattern.compile(pattern));
    })));
    all.put("length", filter((in, options) ->
        new LengthFilter(in, options.number("min", 0), options.number("max", Integer.MAX_VALUE))));
    all.put("limit", filter((in, options) -> new LimitTokenCountFilter(in, options.number("max_token_count", 1),
        options.flag("consume_all_tokens", false))));
    all.put("unique", filter((in, options) -> options.flag("only_on_same_position", false)
        ? Lucene.filter("remove_duplicates").apply(in, options)
        : new UniqueFilter(in)));
  }

  /** Filters that cut tokens or join them. */
  private static void putParts(Map<String, AnalysisProvider<TokenFilterFactory>> all) {
    all.put("cjk_bigram", filter((in, options) ->
        new CJKBigramFilter(in, scripts(options), options.flag("output_unigrams", false))));
    all.put("common_grams", requiresAnalysisSettings(filter(TokenFilters::commonGrams)));
    all.put("dictionary_decompounder", requiresAnalysisSettings(filter((in, options) ->
        new DictionaryCompoundWordTokenFilter(in, options.wordSet("word_list", "ignore_case"),
            options.number("min_word_size", 5), options.number("min_subword_size", 2),
            options.number("max_subword_size", 15), options.flag("only_longest_match", false)))));
    all.put("edge_ngram", filter((in, options) -> new EdgeNGramTokenFilter(in, options.number("min_gram", 1),
        options.number("max_gram", 2), options.flag("preserve_original", false))));
    all.put("fingerprint", filter((in, options) ->
        new FingerprintFilter(in, options.number("max_output_size", 255), options.character("separator", ' '))));
    all.put("ngram", filter((in, options) -> new NGramTokenFilter(in, options.number("min_gram", 1), options.maxGram(),
        options.flag("preserve_original", false))));
    all.put("pattern_capture", requiresAnalysisSettings(filter((in, options) ->
        new PatternCaptureGroupTokenFilter(in, options.flag("preserve_original", true),
            options.words("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new)))));
    all.put("word_delimiter", filter(WordDelimiter::plain));
    all.put("word_delimiter_graph", filter(WordDelimiter::graph));
  }

  private static TokenStream commonGrams(TokenStream in, Options options) {
    CommonGramsFilter pairs = new CommonGramsFilter(in, options.wordSet("common_words", "ignore_case"));
    return options.flag("query_mode", false) ? new CommonGramsQueryFilter(pairs) : pairs;
  }

  private static int scripts(Options options) {
    Set<String> ignored = Set.copyOf(options.words("ignored_scripts"));
    if (!SCRIPTS.keySet().containsAll(ignored)) {
      throw new IllegalArgumentException("ignored_scripts must be of " + SCRIPTS.keySet() + ", not " + ignored);
    }
    return SCRIPTS.entrySet().stream().filter(script -> !ignored.contains(script.getKey()))
        .mapToInt(Map.Entry::getValue).sum();
  }

  private static AnalysisProvider<TokenFilterFactory> filter(Filter filter) {
    return (index, environment, name, settings) -> {
      Options options = tried(filter, new Options(index, environment, settings));
      return new TokenFilterFactory() {
        @Override
        public String name() {
          return name;
        }

        @Override
        public TokenStream create(TokenStream in) {
          return filter.apply(in, options);
        }
      };
    };
  }

  /** A filter that normalizers and wildcard queries may use too. */
  private static AnalysisProvider<TokenFilterFactory> normalizing(Filter filter) {
    return (index, environment, name, settings) -> {
      Options options = tried(filter, new Options(index, environment, settings));
      return new NormalizingTokenFilterFactory() {
        @Override
        public String name() {
          return name;
        }

        @Override
        public TokenStream create(TokenStream in) {
          return filter.apply(in, options);
        }
      };
    };
  }

  /** Wrong settings fail when the index is created, not at its first document. */
  private static Options tried(Filter filter, Options options) {
    if (!options.settings().isEmpty()) {
      filter.apply(new KeywordTokenizer(), options);
    }
    return options;
  }
}
